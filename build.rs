//! Puts the commit into `--version`, and turns `proto/` into the types of `amqp/wire.rs`.

use std::process::Command;

fn main() {
    name_the_commit();
    compile_messages();
}

fn name_the_commit() {
    let commit = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown commit".to_owned(), |text| text.trim().to_owned());
    println!("cargo::rustc-env=TIMESWEEP_COMMIT={commit}");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/refs/heads");
}

/// In Rust alone: nobody needs a `protoc` to build this.
fn compile_messages() {
    println!("cargo::rerun-if-changed=proto");
    let messages = protox::compile(["proto/omotes.proto"], ["proto"]).expect("proto/omotes.proto is right");
    prost_build::Config::new().compile_fds(messages).expect("the messages become Rust");
}
