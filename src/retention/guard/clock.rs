//! Refuses a run when the store's clock and ours are far apart: one of them would date everything wrong.

use super::{GuardName, Refusal};

/// All three in microseconds (the first two since 1970 UTC).
pub fn clocks_apart(store_now: i64, our_now: i64, allowed: i64) -> Option<Refusal> {
    let apart = store_now.abs_diff(our_now);
    if apart <= allowed.unsigned_abs() {
        return None;
    }
    let direction = if store_now > our_now { "ahead of" } else { "behind" };
    Some(Refusal::new(
        GuardName::Clock,
        format!("the store's clock is {} s {direction} ours", apart / 1_000_000),
        format!("set both clocks right, or raise `guards.max_clock_skew` (now {} s)", allowed / 1_000_000),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        let second = 1_000_000;
        for (store, ours, refused) in [
            (0, 0, false),
            (300 * second, 0, false),
            (301 * second, 0, true),
            (0, 301 * second, true),
            (i64::MIN, i64::MAX, true),
        ] {
            assert_eq!(clocks_apart(store, ours, 300 * second).is_some(), refused, "{store} {ours}");
        }
    }

    #[test]
    fn the_answer_names_the_setting() {
        let refusal = clocks_apart(0, 3_600_000_000, 300_000_000).expect("refused");
        assert_eq!(refusal.sentence, "the store's clock is 3600 s behind ours");
        assert!(refusal.way_out.contains("guards.max_clock_skew"));
    }
}
