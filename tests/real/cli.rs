//! The command line against a real server: what people read, and what bad input gets.
