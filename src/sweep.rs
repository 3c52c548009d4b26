//! One pass over the pipeline: gather → plan → guard → execute → measure → report.
//!
//! `preview` draws the plan and stops; `apply` takes the runner's lock, settles what earlier runs left
//! open, draws the plan from fresh facts and executes it. Both draw with the same code (invariant 1).

pub mod apply;
mod cut_off;
pub mod execute;
pub mod gated;
pub mod gather;
pub mod measure;
pub mod owned;
pub mod past;
pub mod queue;
pub mod sessions;
pub mod settle;
