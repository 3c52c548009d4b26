//! The messages of OMOTES, made from `proto/omotes.proto` by `build.rs`.
//!
//! Fields that nobody here knows are lost when a message is decoded. Invariant: what is passed on is the
//! bytes that came, never a message that was encoded again.

#![allow(clippy::pedantic, clippy::all)]

// Without a package name the file is called like this.
include!(concat!(env!("OUT_DIR"), "/_.rs"));
