//! `fwc man` and `fwc completions`: pages and scripts made from the command line's own description.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Failure;
use super::output::Output;
use crate::cli::{Cli, CompletionsArgs, ManArgs};

/// What fwc reads and writes, as the page of `fwc` lists it. packaging/FILES.md tells more of each.
const FILES: [(&str, &str); 5] = [
    ("/etc/fwc/*.yaml", "The specs that fwc.service loads at boot, read as one. Only root may be able to change them."),
    ("/var/lib/fwc", "What fwc remembers: what was confirmed, and what a rollback goes back to."),
    ("fwc.service", "The systemd unit that runs `fwc apply --confirmed /etc/fwc` before the network is up."),
    (
        "/proc/sys/net/netfilter/nf_conntrack_*",
        "The limit and the timeouts of conntrack, set by `fwc apply` from the spec's `conntrack`.",
    ),
    ("/sys/module/nf_conntrack/parameters/hashsize", "The buckets of conntrack, set likewise."),
];

const ENVIRONMENT: [(&str, &str); 3] = [
    ("FWC_STATE_DIR", "Where fwc remembers, instead of /var/lib/fwc."),
    (
        "SSH_CONNECTION",
        "The session that `fwc apply` must not cut off, as sshd sets it; looked for in the parent processes too.",
    ),
    ("NO_COLOR", "No colours, if set."),
];

const EXIT: [(&str, &str); 4] = [
    ("0", "Done, and nothing is wrong."),
    ("1", "The spec has errors, the host speaks against it, or something was found."),
    ("2", "The command line makes no sense; for `plan --detailed-exitcode`, that there is a difference."),
    ("3", "The host or the kernel failed."),
];

pub(super) fn man(output: Output, arguments: &ManArgs) -> Result<ExitCode, Failure> {
    let mut root = Cli::command();
    root.build();
    if let Some(directory) = &arguments.output {
        for command in std::iter::once(&root)
            .chain(root.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set()))
        {
            let path = directory.join(format!("{}.1", title(command)));
            write(&path, command).map_err(|error| Failure::Io(format!("writing {}", path.display()), error))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let command = match &arguments.command {
        None => &root,
        Some(name) => root
            .find_subcommand(name)
            .ok_or_else(|| Failure::Usage(format!("there is no command `{name}`; `fwc help` lists them")))?,
    };
    output.data(&String::from_utf8_lossy(&page(command)?))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn completions(output: Output, arguments: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "fwc", &mut script);
    output.data(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, command: &clap::Command) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, page(command)?)
}

/// `fwc`, `fwc-apply`.
fn title(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    if title(command) == "fwc" {
        for (name, entries) in [("EXIT STATUS", &EXIT[..]), ("ENVIRONMENT", &ENVIRONMENT), ("FILES", &FILES)] {
            let mut section = Roff::new();
            section.control("SH", [name]);
            for (what, text) in entries {
                section.control("TP", []);
                section.text([bold(*what)]);
                section.text([roman(*text)]);
            }
            section.to_writer(&mut page)?;
        }
    }
    Ok(page)
}
