//! Exit codes: the promise to schedulers. Each outcome has one.

use crate::problem::{Kind, Problem};
use crate::report::Verdict;

use super::signals;

/// Done, or nothing to do.
pub const DONE: u8 = 0;
/// The command line, the configuration or a file is wrong; nothing was touched.
pub const USAGE: u8 = 2;
/// Some chunks stayed that should have gone.
pub const PARTIAL: u8 = 3;
/// A guard refused; a person is needed.
pub const REFUSED: u8 = 4;
/// Something cannot be reached or read completely; nothing was touched.
pub const UNREACHABLE: u8 = 5;
/// `plan --detailed-exitcode`: there is something to do.
pub const SOMETHING_TO_DO: u8 = 10;
/// Somebody else is at work; try later (`EX_TEMPFAIL`).
pub const BUSY: u8 = 75;

/// An error of `gate --scheduler systemd`; there any other code but 0 is a skip.
pub const CONDITION_FAILED: u8 = 255;

/// Codes that say something already, so that a closed gate cannot have them. 101 is a panic.
pub const MEANINGS: [u8; 10] =
    [USAGE, PARTIAL, REFUSED, UNREACHABLE, SOMETHING_TO_DO, BUSY, 101, 130, 143, CONDITION_FAILED];

pub fn of_problem(problem: &Problem) -> u8 {
    match problem.kind {
        Kind::Usage => USAGE,
        Kind::Refused => REFUSED,
        Kind::Unreachable => UNREACHABLE,
        Kind::Busy => BUSY,
        Kind::Partial => PARTIAL,
    }
}

/// Of several, the one that needs somebody most: what no later attempt mends by itself comes first.
pub fn gravest(codes: impl Iterator<Item = u8>) -> u8 {
    let order = [USAGE, REFUSED, UNREACHABLE, PARTIAL, BUSY];
    let codes: Vec<u8> = codes.collect();
    order.into_iter().find(|code| codes.contains(code)).unwrap_or(DONE)
}

pub fn of_verdict(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Done | Verdict::NothingToDo | Verdict::Skipped => DONE,
        Verdict::Partial => PARTIAL,
        Verdict::Refused => REFUSED,
        Verdict::Unreachable => UNREACHABLE,
        Verdict::Misconfigured => USAGE,
        Verdict::Busy => BUSY,
        Verdict::Interrupted => signals::exit_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_one_counts_that_needs_somebody_most() {
        for (codes, gravest) in
            [(vec![], 0), (vec![0, 75], 75), (vec![75, 5], 5), (vec![5, 4], 4), (vec![5, 4, 2], 2)]
        {
            assert_eq!(super::gravest(codes.clone().into_iter()), gravest, "{codes:?}");
        }
    }

    #[test]
    fn every_outcome_has_its_promised_code() {
        let verdicts = [
            (Verdict::Done, 0),
            (Verdict::NothingToDo, 0),
            (Verdict::Partial, 3),
            (Verdict::Refused, 4),
            (Verdict::Busy, 75),
            (Verdict::Interrupted, 130),
            (Verdict::Unreachable, 5),
            (Verdict::Misconfigured, 2),
        ];
        for (verdict, code) in verdicts {
            assert_eq!(of_verdict(verdict), code, "{verdict:?}");
        }
        let kinds = [
            (Kind::Usage, 2),
            (Kind::Partial, 3),
            (Kind::Refused, 4),
            (Kind::Unreachable, 5),
            (Kind::Busy, 75),
        ];
        for (kind, code) in kinds {
            assert_eq!(of_problem(&Problem::new(kind, "x")), code, "{kind:?}");
        }
    }
}
