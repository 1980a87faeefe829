//! Input that is made to hang a reader or to eat its memory ends in a diagnostic.
//!
//! Each case is given to `fwc check` with 500 MB of address space. A process that does not end within a minute is killed and
//! counts as hung; the limit is far above what any case needs and measures nothing.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT_KIB: u32 = 500_000;

/// Checks a path in a limited process; `input` is its standard input. Gives what it said, which is an error.
fn check(path: &Path, format: &str, input: Stdio) -> String {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {LIMIT_KIB} && exec \"$0\" \"$@\"")])
        .args([env!("CARGO_BIN_EXE_fwc"), "check", "--format", format])
        .arg(path)
        .stdin(input)
        .stdout(log.reopen().unwrap())
        .stderr(log.reopen().unwrap())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = String::from_utf8_lossy(&std::fs::read(log.path()).unwrap()).into_owned();
    let head: String = said.chars().take(2_000).collect();
    let status = status.unwrap_or_else(|| panic!("{} hangs: {head}", path.display()));
    assert_eq!(status.code(), Some(1), "{}: {status}: {head}", path.display());
    said
}

/// The first code that a person sees; what is said fits a screen.
fn read(path: &Path, input: Stdio) -> String {
    let said = check(path, "human", input);
    assert!(said.len() < 200_000 && said.lines().all(|line| line.len() < 500), "more than a screen can show");
    said.lines().find(|line| line.starts_with("FWC")).unwrap_or_default().to_string()
}

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Scene(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// A spec text ends in a diagnostic with this code.
#[track_caller]
fn ends_in(code: &str, content: impl AsRef<[u8]>) {
    let scene = Scene::new();
    let found = read(&scene.file("spec.yaml", content.as_ref()), Stdio::null());
    assert!(found.starts_with(code), "expected {code}, found {found}");
}

/// A path ends in a diagnostic with this code.
#[track_caller]
fn path_ends_in(code: &str, path: &Path) {
    let found = read(path, Stdio::null());
    assert!(found.starts_with(code), "expected {code}, found {found}");
}

#[test]
fn a_hundred_megabytes_of_one_letter() {
    let scene = Scene::new();
    let path = scene.path("spec.yaml");
    let mut file = File::create(&path).unwrap();
    for _ in 0..100 {
        file.write_all(&vec![b'a'; 1_000_000]).unwrap();
    }
    path_ends_in("FWC101", &path);
    std::fs::rename(&path, scene.path("set.txt")).unwrap();
    path_ends_in("FWC119", &scene.file("names.yaml", b"sets: {bad: {file: set.txt}}\nblock: [$bad]\n"));
}

#[test]
fn one_long_scalar() {
    ends_in("FWC106", "a".repeat(4_000_000));
    ends_in("FWC106", format!("services: {{web: {{listen: {}}}}}", "a".repeat(4_000_000)));
    ends_in("FWC109", format!("services: {{web: {{listen: {}}}}}", "a".repeat(400_000)));
    ends_in("FWC103", format!("\"{}\": 1", "a".repeat(500)));
    ends_in("FWC103", format!("? {}\n: 1", "a".repeat(1_000_000)));
    ends_in("FWC102", format!("{}: 1", "a".repeat(1_000_000)));
}

#[test]
fn nesting() {
    let depth = 20_000;
    ends_in("FWC102", "[".repeat(depth));
    ends_in("FWC102", format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    ends_in("FWC102", "{a: ".repeat(depth));
    ends_in("FWC102", "- ".repeat(depth));
    ends_in("FWC102", "? ".repeat(depth));
    let block: String = (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    ends_in("FWC102", block);
}

#[test]
fn sets_that_contain_each_other() {
    let last = 20_000;
    let chain: String = (0..last).map(|n| format!("  s{n}: [$s{}]\n", n + 1)).collect();
    ends_in("FWC202", format!("sets:\n{chain}  s{last}: [$s0]\nblock: $s0\n"));
    // Sound as far as the sets go.
    ends_in("FWC201", format!("sets:\n{chain}  s{last}: [192.0.2.1]\nblock: [$s0, $none]\n"));
}

#[test]
fn sets_that_multiply() {
    let last = 9_999;
    let address = |n: usize| format!("10.{}.{}.{}", n / 250 / 250, n / 250 % 250, n % 250 * 2 % 256);
    let sets: String = (0..last).map(|n| format!("  s{n}: [$s{}, {}]\n", n + 1, address(n))).collect();
    ends_in("FWC202", format!("sets:\n{sets}  s{last}: [192.0.2.1]\nblock: $s0\n"));
}

#[test]
fn alias_bombs() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_string();
    for level in 1..30 {
        let item = format!("*a{}, ", level - 1);
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", item.repeat(10).trim_end_matches(", ")));
    }
    ends_in("FWC103", &laughs);
    ends_in("FWC103", format!("{laughs}block: *a29\n"));
    let endpoints: Vec<String> = (1..=10_000).map(|port| format!("203.0.113.5:{port}")).collect();
    let mut services = format!("services:\n  web0: &web\n    listen: [{}]\n", endpoints.join(", "));
    for name in 1..5_000 {
        services.push_str(&format!("  web{name}: *web\n"));
    }
    ends_in("FWC102", services);
    ends_in("FWC106", "services: &a {web: *a, dns: {listen: *a, from: [*a]}}\n");
}

#[test]
fn floods_of_mistakes() {
    let keys: String = (0..150_000).map(|key| format!("k{key}: 1\n")).collect();
    ends_in("FWC103", &keys);
    ends_in("FWC103", format!("{{{}}}", keys.replace('\n', ", ")));
    ends_in("FWC104", "block: 192.0.2.1\n".repeat(100_000));
    ends_in("FWC109", format!("block: [{}]", "x, ".repeat(100_000)));
    ends_in("FWC102", format!("block: [{}]", "!x *y, ".repeat(100_000)));
    ends_in("FWC106", format!("[{}]", "a,".repeat(1_000_000)));
}

#[test]
fn odd_bytes() {
    ends_in("FWC102", b"services: {web: {listen: \0}}");
    ends_in("FWC102", vec![0; 1_000_000]);
    ends_in("FWC101", vec![0xff; 1_000_000]);
    ends_in("FWC101", b"\xff\xfes\0e\0r\0v\0i\0c\0e\0s\0:\0");
    ends_in("FWC102", "%TAG ! tag:x,2000:\n".repeat(50_000));
    ends_in("FWC102", "---\n".repeat(100_000));
    ends_in("FWC120", "# comment\n".repeat(200_000));
    ends_in("FWC120", "\n".repeat(1_000_000));
    ends_in("FWC103", "\t".repeat(1_000_000) + "a: b");
    ends_in("FWC102", format!("services: \"{}", "\\\"".repeat(500_000)));
    ends_in("FWC102", "\u{1b}[2J: 1\n");
}

#[test]
fn what_is_no_file() {
    let scene = Scene::new();
    let folder = scene.path("empty");
    std::fs::create_dir(&folder).unwrap();
    path_ends_in("FWC101", &folder);
    path_ends_in("FWC101", &scene.path("missing.yaml"));
    path_ends_in("FWC101", Path::new("/dev/zero"));
    path_ends_in("FWC101", Path::new("/dev/tty"));
    let fifo = scene.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    path_ends_in("FWC101", &fifo);
    let socket = scene.path("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    path_ends_in("FWC101", &socket);
    let parts = scene.path("parts");
    std::fs::create_dir_all(parts.join("nested.yaml")).unwrap();
    path_ends_in("FWC101", &parts);
    std::os::unix::fs::symlink("loop.yaml", scene.path("loop.yaml")).unwrap();
    path_ends_in("FWC101", &scene.path("loop.yaml"));
}

#[test]
fn set_files_that_are_no_files() {
    let scene = Scene::new();
    nix::unistd::mkfifo(&scene.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for file in ["/dev/zero", "fifo", ".", "missing", "/dev/null"] {
        let spec = format!("sets: {{bad: {{file: {file}}}}}\nblock: [$bad]\n");
        path_ends_in("FWC101", &scene.file("spec.yaml", spec.as_bytes()));
    }
}

#[test]
fn endless_standard_input() {
    let zero = File::open("/dev/zero").unwrap();
    let found = read(Path::new("-"), zero.into());
    assert!(found.starts_with("FWC101"), "{found}");
}

#[test]
fn a_flood_is_cut_for_programs_too() {
    let scene = Scene::new();
    let keys: String = (0..20_000).map(|key| format!("k{key}: 1, ")).collect();
    let said = check(&scene.file("spec.yaml", format!("{{{keys}}}").as_bytes()), "json", Stdio::null());
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    let found = document["diagnostics"].as_array().unwrap();
    assert_eq!(found.len(), 1_001);
    assert!(found.iter().any(|found| found["code"] == "FWC121"));
}
