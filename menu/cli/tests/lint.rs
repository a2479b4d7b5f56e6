//! `pvgrub lint` as a program: formats, settings, comments, fixes, endings.

mod scratch;
mod session;

use pvgrub::Ending;
use scratch::Scratch;
use serde_json::Value;
use session::run;

/// A menu with an error, a warning and a note, not all of it ASCII.
const MENU: &[u8] = "timeout 5 s\ndefault 0\ntitle Système\nroot hd0,0\nkernel /v ro\n".as_bytes();

#[test]
fn json_has_a_line_for_each_finding() {
    let ran = run(&["lint", "--format=json", "-"], MENU);
    assert_eq!(ran.ending, Ending::Findings);
    let lines: Vec<Value> = ran
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |rule: &str| lines.iter().find(|line| line["rule"] == rule).unwrap();
    let device = of("bad-device");
    assert_eq!(device["level"], "error");
    assert_eq!((&device["line"], &device["column"]), (&4.into(), &6.into()));
    assert_eq!(
        &MENU[device["offset"].as_u64().unwrap() as usize..][..5],
        b"hd0,0"
    );
    // Columns are characters, offsets are bytes.
    let accent = of("non-ascii");
    assert_eq!(
        (&accent["column"], &accent["end_column"]),
        (&11.into(), &12.into())
    );
    let trailing = of("trailing-text");
    assert_eq!(trailing["fix"]["edits"][0]["length"], 2);
}

#[test]
fn sarif_is_what_its_schema_wants() {
    // A bracket too many makes this pattern none; OASIS has put it right since, as here.
    let text = include_str!("sarif/sarif-schema-2.1.0.json").replace(
        "^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$",
        "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$",
    );
    let schema: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let every: Vec<Vec<u8>> = pvgrub::lint::rule::RULES
        .iter()
        .map(|rule| rule.found.to_vec())
        .chain([MENU.to_vec(), Vec::new()])
        .collect();
    for menu in every {
        let ran = run(&["lint", "--format=sarif", "--max-findings=50", "-"], &menu);
        let log: Value = serde_json::from_str(&ran.output).unwrap();
        let errors: Vec<String> = validator.iter_errors(&log).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let results = log["runs"][0]["results"].as_array().unwrap();
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            let rules = &log["runs"][0]["tool"]["driver"]["rules"];
            assert_eq!(rules[index]["id"], result["ruleId"]);
        }
    }
    // The schema does refuse something.
    assert!(!validator.is_valid(&serde_json::json!({ "version": "2.1.0" })));
}

#[test]
fn github_gets_annotations() {
    let ran = run(&["lint", "--format=github", "-"], MENU);
    let line = ran.output.lines().find(|line| line.contains("bad-device"));
    let line = line.unwrap();
    assert!(
        line.starts_with("::error file=<stdin>,line=4,col=6,title=bad-device::"),
        "{line}"
    );
    assert!(line.contains("%0A"), "{line}");
    assert_eq!(ran.errors, "");
}

#[test]
fn settings_are_those_of_the_nearest_file_and_the_command_line_goes_before() {
    let scratch = Scratch::new();
    let menu = scratch.write("menu.lst", MENU);
    scratch.write(
        ".pvgrub.toml",
        b"fail-on = \"error\"\n[rules]\nbad-device = \"warn\"\ndefault-fails = \"allow\"\n",
    );
    let ran = run(&["lint", &menu], b"");
    assert_eq!(ran.ending, Ending::Clean, "{}", ran.output);
    assert!(ran.output.contains("warning[bad-device]"), "{}", ran.output);
    assert!(!ran.output.contains("default-fails"), "{}", ran.output);
    let ran = run(&["lint", &menu, "--deny", "bad-device,non-ascii"], b"");
    assert_eq!(ran.ending, Ending::Findings);
    assert!(ran.output.contains("error[non-ascii]"), "{}", ran.output);
    let ran = run(&["lint", &menu, "--no-config", "--allow=all"], b"");
    assert_eq!((ran.ending, ran.output.as_str()), (Ending::Clean, ""));
    let ran = run(&["lint", &menu, "--allow=bad-devise"], b"");
    assert_eq!(ran.ending, Ending::Unreadable);
    assert!(
        ran.errors.contains("`bad-device` is the nearest"),
        "{}",
        ran.errors
    );
    scratch.write(".pvgrub.toml", b"[rules]\nx = 3\n");
    let ran = run(&["lint", &menu], b"");
    assert_eq!(ran.ending, Ending::Unreadable);
    assert!(ran.errors.contains(".pvgrub.toml"), "{}", ran.errors);
}

#[test]
fn comments_allow_rules() {
    let text = [b"# pvgrub: allow(trailing-text)\n".as_slice(), MENU].concat();
    let ran = run(&["lint", "-"], &text);
    assert!(!ran.output.contains("trailing-text"), "{}", ran.output);
    assert!(ran.output.contains("bad-device"), "{}", ran.output);
}

#[test]
fn a_file_that_cannot_be_read_is_an_ending_of_its_own() {
    let ran = run(&["lint", "--allow=all", "/none/menu.lst", "-"], MENU);
    assert_eq!(ran.ending, Ending::Unreadable);
    assert!(
        ran.errors.starts_with("pvgrub: /none/menu.lst: "),
        "{}",
        ran.errors
    );
}

#[test]
fn fixes_are_made_in_the_file_through_links_and_only_once() {
    let scratch = Scratch::new();
    let menu = scratch.write("grub.conf", b"timeout 5 s\r\ndefault 7\r\n# keep \xff me\r\ntitle a\r\nroot (hd0,0)\r\nkernel /v root=/dev/xvda1 console=hvc0\r\n");
    let link = scratch.path("menu.lst");
    std::os::unix::fs::symlink("grub.conf", &link).unwrap();
    let link = link.to_str().unwrap();
    let ran = run(&["lint", "--diff", link], b"");
    assert_eq!(ran.ending, Ending::Findings);
    assert!(
        ran.output.contains("\n+timeout 5\n+default 0\n"),
        "{}",
        ran.output
    );
    let ran = run(&["lint", "--fix", link], b"");
    assert_eq!(
        (ran.ending, ran.output.as_str()),
        (Ending::Clean, ""),
        "{}",
        ran.errors
    );
    assert_eq!(ran.errors, "3 fixes made\n");
    let fixed = std::fs::read(&menu).unwrap();
    assert_eq!(fixed, b"timeout 5\ndefault 0\n# keep \xff me\ntitle a\nroot (hd0,0)\nkernel /v root=/dev/xvda1 console=hvc0\n");
    assert!(std::fs::symlink_metadata(link).unwrap().is_symlink());
    assert_eq!(run(&["lint", "--fix", link], b"").errors, "");
    assert_eq!(run(&["lint", "--diff", link], b"").ending, Ending::Clean);
    let ran = run(&["lint", "--fix", "-"], b"title a\r\nkernel /v\r\n");
    assert_eq!(ran.output, "title a\nkernel /v\n");
}

#[test]
fn long_lines_are_cut_and_many_findings_are_counted() {
    let long = [
        b"title a\nroot (hd0)\nkernel /v ".as_slice(),
        &b"x".repeat(3 << 20),
        b" \xff\n",
    ]
    .concat();
    let ran = run(&["lint", "-"], &long);
    assert!(ran.output.len() < 20_000, "{}", ran.output.len());
    assert!(ran.output.contains("command-line-too-long"));
    let many = b"frob\n".repeat(3000);
    let ran = run(
        &["lint", "--max-findings=5", "-"],
        &[b"title a\n".as_slice(), &many].concat(),
    );
    assert_eq!(ran.output.matches("error[").count(), 5);
    assert!(ran.errors.starts_with("3001 errors"), "{}", ran.errors);
}

#[test]
fn colour_only_where_it_is_wanted() {
    assert!(!run(&["lint", "-"], MENU).output.contains('\x1b'));
    assert!(
        run(&["lint", "--color=always", "-"], MENU)
            .output
            .contains("\x1b[")
    );
}

#[test]
fn canonical_form_is_written_checked_and_kept() {
    let scratch = Scratch::new();
    let menu = scratch.write("menu.lst", b"timeout=5\ntitle a\n kernel   /v\n");
    let ran = run(&["fmt", "--check", &menu], b"");
    assert_eq!(ran.ending, Ending::Findings);
    assert_eq!(ran.output, format!("{menu}\n"));
    assert_eq!(
        run(&["fmt", &menu], b"").output,
        "timeout 5\n\ntitle a\nkernel /v\n"
    );
    assert_eq!(run(&["fmt", "--write", &menu], b"").ending, Ending::Clean);
    assert_eq!(run(&["fmt", "--check", &menu], b"").ending, Ending::Clean);
    assert_eq!(run(&["fmt", "-"], b"boot=x").output, "boot x\n");
}

#[test]
fn waits_pass_at_once() {
    let text = b"timeout 5\npager on\npassword x\ntitle a\npause\npassword y\nmd5crypt\nhelp\nlock\nkernel /v root=x\n";
    let ran = run(&["lint", "-"], &text.repeat(50));
    assert_eq!(ran.ending, Ending::Findings);
    assert!(ran.output.contains("password-in-default"), "{}", ran.output);
}
