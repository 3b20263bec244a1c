//! The keeper's death, and the holder's, and that of whoever gave a command: no sandbox, log line, port or exit code is
//! lost by it that the kernel lets us keep.

#![cfg(test)]

mod commands;
mod ends;
mod fixture;
mod streams;
