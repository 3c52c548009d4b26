//! The messages of OMOTES, made from `proto/omotes.proto` by `build.rs`.
//!
//! Fields that nobody here knows are lost when a message is decoded. Invariant: dead letters are the bytes that
//! came; a result for a client is built anew from the fields that both messages have.

#![allow(clippy::pedantic, clippy::all)]

// Without a package name the file is called like this.
include!(concat!(env!("OUT_DIR"), "/_.rs"));
