//! The table that a person reads, and target/bench.json with each single figure.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use serde::Serialize;

use super::sample::Samples;
use super::support::tools::{command, run};

/// What a figure counts.
#[derive(Clone, Copy, Serialize)]
pub enum Unit {
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "MB")]
    Megabytes,
    #[serde(rename = "ns/packet")]
    NanosecondsPerPacket,
    #[serde(rename = "us/request")]
    MicrosecondsPerRequest,
    #[serde(rename = "ratio")]
    Ratio,
    #[serde(rename = "exponent")]
    Exponent,
}

/// What a median is measured against. Missing it fails nothing: machines differ, and the table says it.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    Within(f64, f64),
}

impl Target {
    fn met(self, median: f64) -> bool {
        match self {
            Target::AtMost(limit) => median <= limit,
            Target::AtLeast(limit) => median >= limit,
            Target::Within(from, to) => (from..=to).contains(&median),
        }
    }
}

#[derive(Serialize)]
struct Figure {
    /// Stays the same from version to version, so that runs can be compared.
    id: String,
    what: String,
    unit: Unit,
    median: f64,
    quartiles: (f64, f64),
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
    samples: Vec<f64>,
}

/// Everything measured in one run. Each group prints its lines when it is done.
#[derive(Serialize)]
pub struct Report {
    version: u32,
    machine: Machine,
    figures: Vec<Figure>,
}

impl Report {
    pub fn new() -> Report {
        let machine = Machine::read();
        println!("{}; {} cores, {:.0} GiB, Linux {}", machine.processor, machine.cores, machine.gib, machine.kernel);
        println!("{}", machine.tools.join("; "));
        Report { version: 1, machine, figures: Vec::new() }
    }

    /// Begins a group of lines.
    pub fn group(&self, title: &str) {
        println!("\n{title}");
        println!("{:<70} {:>10}  {:<19}  target", "", "median", "quartiles");
    }

    /// Adds a figure and prints its line.
    pub fn add(&mut self, id: impl Into<String>, what: &str, unit: Unit, samples: &Samples, target: Option<Target>) {
        let id = id.into();
        let (median, quartiles) = (samples.median(), samples.quartiles());
        let met = target.map(|target| target.met(median));
        let (digits, suffix) = match unit {
            Unit::Milliseconds => (2, " ms"),
            Unit::Megabytes => (1, " MB"),
            Unit::NanosecondsPerPacket => (0, " ns"),
            Unit::MicrosecondsPerRequest => (1, " us"),
            Unit::Ratio => (2, "x"),
            Unit::Exponent => (2, ""),
        };
        let figure = format!("{median:.digits$}{suffix}");
        let spread = format!("{:.digits$} - {:.digits$}", quartiles.0, quartiles.1);
        let verdict = match (target, met) {
            (Some(Target::AtMost(limit)), Some(met)) => format!("at most {limit}{suffix}: {}", word(met)),
            (Some(Target::AtLeast(limit)), Some(met)) => format!("at least {limit}{suffix}: {}", word(met)),
            (Some(Target::Within(from, to)), Some(met)) => format!("{from} to {to}{suffix}: {}", word(met)),
            _ => String::new(),
        };
        println!("{}", format!("{what:<70} {figure:>10}  {spread:<19}  {verdict}").trim_end());
        let samples = samples.all().to_vec();
        self.figures.push(Figure { id, what: what.to_owned(), unit, median, quartiles, target, met, samples });
    }

    /// Writes all figures to `path`, as JSON.
    pub fn write(&self, path: &Path) {
        let json = serde_json::to_string_pretty(self).expect("figures are JSON");
        fs::write(path, json + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("\nEach single figure: {}", path.display());
    }
}

fn word(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// Where the figures come from.
#[derive(Serialize)]
struct Machine {
    processor: String,
    cores: usize,
    gib: f64,
    kernel: String,
    tools: Vec<String>,
}

impl Machine {
    fn read() -> Machine {
        let field = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches([' ', '\t', ':']).to_owned()
        };
        let kib: f64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let version = |tool: &str| {
            let said = run(&mut command([tool, "--version"]), "").stdout;
            said.lines().next().unwrap_or(tool).to_owned()
        };
        Machine {
            processor: field("/proc/cpuinfo", "model name"),
            cores: available_parallelism().map_or(0, usize::from),
            gib: kib / 1024.0 / 1024.0,
            kernel,
            tools: ["nft", "iptables-nft", "ferm"].map(version).to_vec(),
        }
    }
}
