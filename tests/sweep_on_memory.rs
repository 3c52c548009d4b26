//! The whole pass on the in-memory store: faults that a real server cannot be asked for, at full speed.
//!
//! Lost answers, lost locks, a store that dies, holds and signals in the middle of a run, and a property
//! test over all of them. What a real server does is tested in `tests/real.rs`.

mod sweep_on_memory {
    mod meddled;
    mod world;

    mod anything;
    mod faults;
    mod measured;
    mod refusals;
    mod sessions;
    mod stops;
}
