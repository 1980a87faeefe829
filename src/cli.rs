//! The command line: what was typed. [`crate::command`] does it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::net::{Invalid, Seconds};

/// A declarative firewall compiler: services without conntrack, loaded in one nf_tables transaction.
#[derive(Debug, Parser)]
#[command(name = "fwc", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to write diagnostics and results.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    pub format: Format,
}

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code scanning (`check` only).
    Sarif,
    /// Workflow commands of GitHub Actions (`check` only).
    Github,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check specs without a host: each by itself
    Check(CheckArgs),
    /// Write an artifact: nft, iptables-restore, sysctl.d or modprobe.d
    Compile(CompileArgs),
    /// Show in what the live table differs from a spec, by service
    Plan(PlanArgs),
    /// Load a spec into the kernel, in one transaction
    Apply(ApplyArgs),
    /// Keep what an apply with `--confirm-within` loaded
    Confirm(HostArgs),
    /// Undo the last apply: put back what stood there before
    Rollback(HostArgs),
    /// Show what is loaded: counters by service and direction, drift, table use
    Status(HostArgs),
    /// Delete what fwc loaded, and nothing else
    Remove(HostArgs),
    /// Tell whether the conntrack table is the problem, who fills it, and what would help; changes nothing
    Doctor(DoctorArgs),
    /// Prove over all packets that the rules, and every form of them, mean what a spec says
    Verify(VerifyArgs),
    /// Run the tests of a spec: lead their packets through its rules
    Test(TestArgs),
    /// Show the way of one packet, and of its answer, through a spec's rules
    Trace(TraceArgs),
    /// Find the traps in rulesets of other tools: iptables-save, ip6tables-save, ipset save
    Lint(ForeignArgs),
    /// Make a spec of rulesets of other tools, and prove that it means the same
    Import(ForeignArgs),
    /// Explain a diagnostic, as in `fwc explain FWC301`
    Explain {
        /// The code; without one, all codes are listed.
        code: Option<String>,
    },
    /// Print the JSON schema of specs
    Schema,
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them
    Man(ManArgs),
    /// Roll back an apply when its time is over. fwc starts it by itself.
    #[command(hide = true)]
    Watchdog(WatchdogArgs),
}

/// `fwc check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Spec files or directories; `-` is standard input.
    #[arg(required = true, value_name = "SPEC")]
    pub specs: Vec<PathBuf>,
    /// Also load each into the real kernel, in a private namespace. Needs no root.
    #[arg(long)]
    pub kernel: bool,
}

/// `fwc verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A spec file or directory; `-` is standard input.
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,
    /// Also compare with the loaded table (`live`), or with a file of iptables-save, ip6tables-save or `nft -j list ruleset`. May be given more
    /// than once.
    #[arg(long, value_name = "live|FILE")]
    pub against: Vec<PathBuf>,
    /// Look for the live table in this network namespace (a name under /run/netns).
    #[arg(long, value_name = "NAME")]
    pub netns: Option<String>,
}

/// `fwc test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// A spec file or directory; `-` is standard input.
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,
    /// Write a report for a CI server to standard output.
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "format")]
    pub report: Option<Report>,
    /// Also send the packets through the real kernel, in a private namespace. Needs no root.
    #[arg(long)]
    pub kernel: bool,
}

/// A report that CI servers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// JUnit XML
    Junit,
    /// The Test Anything Protocol, version 14
    Tap,
}

/// `fwc trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// A spec file or directory; `-` is standard input.
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,
    /// `PROTO SRC[:PORT] > DST[:PORT] [FLAGS or ICMP type]`, as in "tcp 198.51.100.7:40000 > 203.0.113.5:80 syn".
    #[arg(value_name = "PACKET")]
    pub packet: String,
    /// Which way it goes: to this host, from it, or through it.
    #[arg(long, value_name = "in|out|forward", default_value = "in", value_parser = ["in", "out", "forward"])]
    pub direction: String,
    /// Where it comes in, or with `--direction out` where it leaves.
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// What conntrack would say of it.
    #[arg(long, value_name = "STATE", default_value = "new", value_parser = ["new", "established", "related", "invalid"])]
    pub state: String,
    /// Take it for the first or a later fragment of a packet.
    #[arg(long, value_name = "first|later", value_parser = ["first", "later"])]
    pub fragment: Option<String>,
}

/// `fwc compile`.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// A spec file or directory; `-` is standard input.
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,
    /// Which artifact.
    #[arg(long, short, value_enum, required_unless_present = "output")]
    pub target: Option<Target>,
    /// Where to write it, atomically. A directory (`DIR/`) takes all artifacts.
    #[arg(long, short, value_name = "FILE|DIR/")]
    pub output: Option<PathBuf>,
}

/// An artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A file for `nft -f`
    Nft,
    /// A file for `iptables-restore`
    Iptables,
    /// A file for `ip6tables-restore`
    Ip6tables,
    /// A file for `ipset restore`: sets that are too large to be written out as rules
    Ipset,
    /// A file for sysctl.d: the size of the conntrack table
    Sysctl,
    /// A file for modprobe.d: the hash size of the conntrack table
    Modprobe,
    /// A file for modules-load.d: nf_conntrack is loaded early, so that its sysctls exist when sysctl.d is read
    ModulesLoad,
}

/// `fwc plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A spec file or directory; `-` is standard input.
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,
    /// Save the plan for `fwc apply FILE`, which loads exactly this or nothing.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// End with 0 when nothing would change, 2 when something would, 1 on an error.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Look into this network namespace (a name under /run/netns).
    #[arg(long, value_name = "NAME")]
    pub netns: Option<String>,
}

/// `fwc apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A spec file or directory, or a plan that `fwc plan --out` saved; `-` is standard input.
    #[arg(value_name = "SPEC|PLAN")]
    pub spec: PathBuf,
    /// Do everything but change the kernel.
    #[arg(long)]
    pub dry_run: bool,
    /// Load into this network namespace (a name under /run/netns).
    #[arg(long, value_name = "NAME", conflicts_with = "sandbox")]
    pub netns: Option<String>,
    /// Load into a fresh private namespace, which is gone afterwards. Needs no root.
    #[arg(long)]
    pub sandbox: bool,
    /// Leave the conntrack entries of flows that are no longer tracked: they stay until they time out.
    #[arg(long, conflicts_with_all = ["sandbox", "dry_run"])]
    pub keep_conntrack: bool,
    /// Go on in spite of this finding, as in `--force FWC401`. May be given more than once.
    #[arg(long, value_name = "CODE")]
    pub force: Vec<String>,
    /// Roll back unless `fwc confirm` is said in time, as in `--confirm-within 60s`. TIME is in s, m, h or d, also together (`1m30s`); a bare number is
    /// seconds.
    #[arg(long, value_name = "TIME", value_parser = typed, conflicts_with_all = ["dry_run", "sandbox"])]
    pub confirm_within: Option<Seconds>,
    /// For boot: load SPEC if it is the confirmed one, else the copy of the confirmed one.
    #[arg(long, conflicts_with_all = ["confirm_within", "sandbox"])]
    pub confirmed: bool,
}

fn typed(text: &str) -> Result<Seconds, String> {
    Seconds::typed(text).map_err(|invalid: Invalid| format!("{}; {}", invalid.message, invalid.help))
}

/// What `fwc apply` tells the process that will roll back.
#[derive(Debug, Args)]
pub struct WatchdogArgs {
    /// The state directory.
    #[arg(long)]
    pub state: PathBuf,
    /// The number of the apply.
    #[arg(long)]
    pub number: u64,
    /// The network namespace to go to first.
    #[arg(long)]
    pub netns: Option<String>,
}

/// `fwc status`, `fwc remove`, `fwc confirm`, `fwc rollback`.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Look into this network namespace (a name under /run/netns).
    #[arg(long, value_name = "NAME")]
    pub netns: Option<String>,
}

/// `fwc doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Look into this network namespace (a name under /run/netns).
    #[arg(long, value_name = "NAME")]
    pub netns: Option<String>,
    /// The time between two looks at the counters, from which rates are told. TIME is in s, m, h or d, also together (`1m30s`); a bare number is seconds.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = typed)]
    pub interval: Seconds,
    /// Print only the proposed spec. Ends with 0 when there is one, and with 1 when there is nothing to propose.
    #[arg(long, conflicts_with = "format")]
    pub spec: bool,
}

/// `fwc lint` and `fwc import`.
#[derive(Debug, Args)]
pub struct ForeignArgs {
    /// What iptables-save, ip6tables-save and ipset save print; several files are one ruleset. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `fwc completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `fwc man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command whose page it is, as in `fwc man apply`.
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    pub command: Option<String>,
    /// Write the pages of all commands into this directory.
    #[arg(long, short, value_name = "DIR/")]
    pub output: Option<PathBuf>,
}
