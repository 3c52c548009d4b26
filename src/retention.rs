//! The pure heart: facts and rules in, a plan out.
//!
//! Nothing in here does I/O, reads a clock or is asynchronous (invariant 2), so every decision can be
//! tested with a table. What cannot be read, dated or named is kept (invariant 6), and everything that
//! was seen gets a decision with its reason (invariant 3).

pub mod decide;
pub mod drift;
pub mod estimate;
pub mod facts;
pub mod guard;
pub mod measured;
pub mod model;
pub mod name;
pub mod ownership;
pub mod plan;
pub mod plan_file;
pub mod policy;
pub mod reason;
pub mod resolve;
pub mod rules;
pub mod sessions;
pub mod span;
pub mod time_axis;

#[cfg(test)]
pub mod testing;
