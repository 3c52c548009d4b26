//! The real pass, in every order of what can happen around it: two jobs that may share a dataset, a store
//! that is away or lies, drops that are refused or whose answers are lost, passes that are cut off at any
//! step while another replica goes on, and events that come in the middle of a pass.
//!
//! Safety: what a job wrote that succeeds and is not deleted is never dropped, and no pass takes an active
//! row from a dataset that is there. Liveness: what nobody owns is gone within the bound.

mod event;
mod meeting;
mod missing_rules;
mod orders;
mod world;
