//! The `fwc` binary: the command line, and nothing else.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    fwc::command::run(fwc::cli::Cli::parse())
}
