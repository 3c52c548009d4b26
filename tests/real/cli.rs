//! The command line against a real server: what people read, and what bad input gets.
//!
//! Most tests are stories: commands one after the other, with everything they print, as a snapshot.

mod bad_input;
mod bad_settings;
mod caps;
mod holds;
mod names;
mod output;
mod plan_file;
mod policies;
mod privileges;
mod story;
mod undatable;
