//! `fwc check`: what is found where, in each format.

use super::support::cli::fwc_with;
use super::support::{Spec, fwc};
use super::{ODD, WEB, WRONG, codes, ended, json};

#[test]
fn a_good_spec_ends_with_0_and_prints_no_data() {
    let ran = ended(fwc(&["check", &Spec::new(WEB).path()]), 0);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.ends_with("spec.yaml: ok (2 entries, 1 stateless)\n"), "{ran}");
}

#[test]
fn a_warning_is_told_and_refuses_nothing() {
    let ran = ended(fwc(&["check", &Spec::new(ODD).path()]), 0);
    assert!(ran.stderr.contains("FWC209") && ran.stderr.contains("1 warning"), "{ran}");
}

#[test]
fn all_mistakes_of_a_file_come_in_one_run() {
    let ran = ended(fwc(&["check", &Spec::new(WRONG).path()]), 1);
    assert_eq!(ran.stdout, "");
    for word in ["`stateles`", "`upd`", "port 0", "3 errors"] {
        assert!(ran.stderr.contains(word), "{word} is missing: {ran}");
    }
}

#[test]
fn each_spec_counts_by_itself() {
    // The same service in both files: as one spec it would be given twice.
    let (good, odd, wrong) = (Spec::new(WEB), Spec::new(ODD), Spec::new(WRONG));
    ended(fwc(&["check", &good.path(), &Spec::new(WEB).path()]), 0);
    let ran = ended(fwc(&["check", &wrong.path(), &good.path(), &odd.path()]), 1);
    let last: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("spec.yaml: ")).collect();
    let verdicts: Vec<&str> = last.iter().map(|line| line.split_once("spec.yaml: ").expect("a verdict").1).collect();
    assert_eq!(verdicts, ["3 errors", "ok (2 entries, 1 stateless)", "1 warning (1 entry, 1 stateless)"], "{ran}");

    let ran = ended(fwc(&["check", "--format", "json", &wrong.path(), &good.path(), &odd.path()]), 1);
    assert_eq!(codes(&ran.stdout), ["FWC103", "FWC114", "FWC112", "FWC209"], "{ran}");
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_directory_is_one_spec_of_the_yaml_files_in_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().to_str().expect("text");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file of the spec");
    write("20-services.yaml", "services: {web: {listen: \"$ours:80\", stateless: true}}\n");
    write("10-sets.yaml", "sets: {ours: [203.0.113.5]}\n");
    write("README.txt", "not: [a spec\n");
    let ran = ended(fwc(&["check", path]), 0);
    assert!(ran.stderr.contains("ok (1 entry, 1 stateless)"), "{ran}");

    write("30-again.yaml", "services: {web: {listen: \"$ours:81\"}}\n");
    let ran = ended(fwc(&["check", path, "--format", "json"]), 1);
    assert_eq!(codes(&ran.stdout), ["FWC104"]);
    let files: Vec<String> = json(&ran.stdout)["diagnostics"][0]["labels"]
        .as_array()
        .expect("labels")
        .iter()
        .map(|label| label["file"].as_str().expect("a file").rsplit('/').next().expect("a name").to_owned())
        .collect();
    assert_eq!(files, ["30-again.yaml", "20-services.yaml"]);
}

#[test]
fn a_dash_is_standard_input() {
    ended(fwc_with(&["check", "-"], WEB), 0);
    let ran = ended(fwc_with(&["check", "-", "--format", "json"], WRONG), 1);
    assert_eq!(json(&ran.stdout)["diagnostics"][0]["labels"][0]["file"], "<stdin>");
    assert_eq!(
        fwc_with(&["compile", "-", "-t", "nft"], WEB).stdout,
        fwc(&["compile", &Spec::new(WEB).path(), "-t", "nft"]).stdout
    );
}

#[test]
fn json_points_at_the_exact_token() {
    // Characters of two and four bytes stand before the mistake.
    let text = "# Zugänge 🔒\nservices: {web: {listen: \"*:80\", \"stäteless\": true}}\n";
    let spec = Spec::new(text);
    let ran = ended(fwc(&["check", "--format", "json", &spec.path()]), 1);
    assert!(ran.stdout.ends_with("}\n") && ran.stdout.lines().count() == 1, "{ran}");
    let document = json(&ran.stdout);
    assert_eq!((document["format"].as_str(), document["version"].as_u64()), (Some("fwc-diagnostics"), Some(1)));
    let found = &document["diagnostics"][0];
    assert_eq!((found["code"].as_str(), found["severity"].as_str()), (Some("FWC103"), Some("error")));
    assert!(found["message"].as_str().expect("a message").contains("stäteless"));
    assert!(found["help"].as_str().expect("a help").contains("stateless"));
    let label = &found["labels"][0];
    let number = |key: &str| usize::try_from(label[key].as_u64().expect("a number")).expect("a small number");
    assert_eq!(label["file"].as_str(), Some(spec.path().as_str()));
    assert!(text[number("start_byte")..number("end_byte")].contains("stäteless"), "{label}");
    let line: Vec<char> = text.lines().nth(number("line") - 1).expect("a line").chars().collect();
    let token: String = line[number("column") - 1..number("end_column") - 1].iter().collect();
    assert_eq!((number("line"), number("end_line")), (2, 2));
    assert!(token.trim_matches('"') == "stäteless", "{token}");
}

/// So many stateless services, each on an address of its own.
fn services(count: u32) -> Spec {
    let one = |n| format!("  s{n}: {{listen: \"10.0.{}.{}:80\", stateless: true}}\n", n / 250, n % 250);
    Spec::new(&("services:\n".to_string() + &(0..count).map(one).collect::<String>()))
}

#[test]
fn the_memory_that_a_large_spec_takes_is_told_and_always_in_json() {
    let (small, large) = (Spec::new(WEB), services(5_000));
    let said = ended(fwc(&["check", &small.path(), &large.path()]), 0).stderr;
    let lines: Vec<&str> = said.lines().collect();
    assert!(!lines[0].contains("memory") && lines[1].contains("5000 stateless; about "), "{said}");
    assert!(lines[1].ends_with(" MB of kernel memory)"), "{said}");

    let wrong = Spec::new(WRONG);
    let paths = [small.path(), large.path(), wrong.path()];
    let document = json(&ended(fwc(&["check", "--format", "json", &paths[0], &paths[1], &paths[2]]), 1).stdout);
    let specs = document["specs"].as_array().expect("specs");
    assert_eq!(
        specs.iter().map(|spec| spec["spec"].as_str()).collect::<Vec<_>>(),
        paths.each_ref().map(|path| Some(path.as_str()))
    );
    let figure = |at: usize, name: &str| specs[at]["kernel_memory"][name].as_u64().expect("a figure");
    assert_eq!(
        figure(1, "bytes"),
        figure(1, "bytes_shared") + figure(1, "processors") * figure(1, "bytes_per_processor")
    );
    assert!(figure(0, "bytes") > 0 && figure(1, "bytes") > 5_000 * 100, "{document}");
    assert!(specs[2]["kernel_memory"].is_null(), "{document}");
}

#[test]
fn sarif_is_what_code_scanning_takes() {
    let spec = Spec::new(WRONG);
    let ran = ended(fwc(&["check", "--format", "sarif", &spec.path(), &Spec::new(ODD).path()]), 1);
    assert_eq!(ran.stderr, "");
    let log = json(&ran.stdout);
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().is_some_and(|schema| schema.ends_with("sarif-2.1.0.json")));
    let runs = log["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    assert_eq!(driver["name"], "fwc");
    let rules: Vec<&str> =
        driver["rules"].as_array().expect("rules").iter().map(|rule| rule["id"].as_str().expect("an id")).collect();
    let results = runs[0]["results"].as_array().expect("results");
    let ids: Vec<&str> = results.iter().map(|result| result["ruleId"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["FWC103", "FWC114", "FWC112", "FWC209"]);
    assert!(ids.iter().all(|id| rules.iter().filter(|rule| rule == &id).count() == 1));
    for result in results {
        let level = if result["ruleId"] == "FWC209" { "warning" } else { "error" };
        assert_eq!(result["level"], level);
        assert!(!result["message"]["text"].as_str().expect("text").is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().is_some_and(|uri| uri.ends_with("spec.yaml")));
        let region = &place["region"];
        let number = |key: &str| region[key].as_u64().expect("a number");
        assert!(number("startLine") >= 1 && number("startColumn") >= 1, "{region}");
        assert!((number("endLine"), number("endColumn")) > (number("startLine"), number("startColumn")), "{region}");
    }
    // No result is an empty list, not a missing one: missing means that the tool did not run.
    let clean = json(&fwc(&["check", "--format", "sarif", &Spec::new(WEB).path()]).expect_success("fwc check"));
    assert_eq!(clean["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn sarif_and_workflow_commands_take_any_file_name() {
    let spec = Spec::new("").file("a b,c:100%.yaml", WRONG);
    let path = spec.path().replace("spec.yaml", "a b,c:100%.yaml");
    let ran = ended(fwc(&["check", "--format", "sarif", &path]), 1);
    let log = json(&ran.stdout);
    let uri = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
    assert!(uri.as_str().is_some_and(|uri| uri.ends_with("/a%20b%2Cc%3A100%25.yaml")), "{uri}");
    let ran = ended(fwc(&["check", "--format", "github", &path]), 1);
    assert!(ran.stdout.lines().all(|line| line.contains("/a b%2Cc%3A100%25.yaml,line=")), "{ran}");
}

#[test]
fn workflow_commands_are_one_line_each() {
    let spec = Spec::new(WRONG);
    let ran = ended(fwc(&["check", "--format", "github", &spec.path(), &Spec::new(ODD).path()]), 1);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let starts: Vec<&str> = lines.iter().map(|line| line.split(' ').next().expect("a word")).collect();
    assert_eq!(starts, ["::error", "::error", "::error", "::warning"], "{ran}");
    let first = lines[0];
    assert!(first.contains(&format!("file={},line=2,endLine=2,col=25,", spec.path())), "{first}");
    assert!(first.contains("title=FWC103::unknown key `stateles`") && first.contains("%0Ahelp: "), "{first}");
    assert_eq!(fwc(&["check", "--format", "github", &Spec::new(WEB).path()]).stdout, "");
}
