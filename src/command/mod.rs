//! The commands, one a file. Only here is anything read, written or exited.

mod apply;
mod artifact;
mod check;
mod compile;
mod confirm;
mod destination;
mod doctor;
mod explain;
mod host;
mod import;
mod journey;
mod lint;
mod man;
mod memory;
mod output;
mod plan;
mod remove;
mod rollback;
mod status;
mod test;
mod trace;
mod verify;
mod waiting;
mod watchdog;

use std::io;
use std::process::ExitCode;

use crate::cli::{Cli, Command, Format};
use output::Output;

/// Exit codes that more than one command uses.
mod exit {
    /// The spec has errors, or the host speaks against it.
    pub(super) const REFUSED: u8 = 1;
    /// The command line makes no sense.
    pub(super) const USAGE: u8 = 2;
    /// The host or the kernel failed.
    pub(super) const HOST: u8 = 3;
}

/// Why a command could not do its work, beyond what diagnostics say.
enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// Reading or writing failed.
    Io(String, io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io("writing the result".to_string(), error)
    }
}

/// How many entries, in words.
fn entries(count: usize) -> String {
    if count == 1 { "1 entry".to_string() } else { format!("{count} entries") }
}

/// Does what was typed.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let output = Output::new(cli.format);
    if matches!(cli.format, Format::Sarif | Format::Github) && !matches!(cli.command, Command::Check(_)) {
        output::remark("`--format sarif` and `--format github` are for `fwc check`");
        return ExitCode::from(exit::USAGE);
    }
    let failed = match cli.command {
        Command::Apply(_)
        | Command::Confirm(_)
        | Command::Doctor(_)
        | Command::Plan(_)
        | Command::Rollback(_)
        | Command::Status(_)
        | Command::Remove(_)
        | Command::Watchdog(_) => exit::HOST,
        _ => exit::REFUSED,
    };
    let done = match cli.command {
        Command::Check(arguments) => check::run(output, &arguments),
        Command::Compile(arguments) => compile::run(output, &arguments),
        Command::Apply(arguments) => apply::run(output, &arguments),
        Command::Confirm(arguments) => confirm::run(output, &arguments),
        Command::Plan(arguments) => plan::run(output, &arguments),
        Command::Rollback(arguments) => rollback::run(output, &arguments),
        Command::Watchdog(arguments) => Ok(watchdog::run(&arguments)),
        Command::Status(arguments) => status::run(output, &arguments),
        Command::Doctor(arguments) => doctor::run(output, &arguments),
        Command::Remove(arguments) => remove::run(output, &arguments),
        Command::Verify(arguments) => verify::run(output, &arguments),
        Command::Test(arguments) => test::run(output, &arguments),
        Command::Trace(arguments) => trace::run(output, &arguments),
        Command::Lint(arguments) => lint::run(output, &arguments),
        Command::Import(arguments) => import::run(output, &arguments),
        Command::Explain { code } => explain::run(output, code.as_deref()),
        Command::Completions(arguments) => man::completions(output, &arguments),
        Command::Man(arguments) => man::man(output, &arguments),
        Command::Schema => output.data(&crate::schema::json()).map(|()| ExitCode::SUCCESS).map_err(Failure::from),
    };
    match done {
        Ok(code) => code,
        Err(Failure::Usage(message)) => {
            output::remark(&message);
            ExitCode::from(exit::USAGE)
        }
        Err(Failure::Io(what, error)) => {
            output::remark(&format!("{what} failed: {error}"));
            ExitCode::from(failed)
        }
    }
}
