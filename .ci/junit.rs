//! Turns what `cargo test` prints, on standard input, into JUnit's XML, on standard output.
//!
//!     junit [PREFIX] <LOG >FILE.xml        PREFIX goes before the names of suites and classes
//!
//! libtest writes JUnit by itself only with unstable options, and a runner that starts a process for each test would train anew
//! what the tests of one program share. So the text is read, and held to its own sums: fails if they are not those of the tests
//! that were found, or if there are none. Standard library alone, so that `rustc` makes it in a second: `.ci/junit`.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Passed,
    Failed,
    /// Why, where it was said.
    Ignored(String),
    /// Named, and then other programs wrote into the line.
    Unsaid,
    /// No test: what is wrong with its program or with the log.
    Broken(String),
}

#[derive(Debug)]
struct Case {
    name: String,
    outcome: Outcome,
}

/// What one program ran between `running N tests` and `test result`.
#[derive(Debug, Default)]
struct Suite {
    name: String,
    /// Names of documentation's tests hold paths and spaces, and are left as they are.
    documentation: bool,
    cases: Vec<Case>,
    /// What failed tests wrote.
    output: BTreeMap<String, String>,
    /// The list at the end.
    failed: BTreeSet<String>,
    seconds: f64,
}

/// Passed, failed and ignored.
type Sums = [usize; 3];

impl Suite {
    fn sums(&self) -> Sums {
        let count = |wanted: fn(&Outcome) -> bool| self.cases.iter().filter(|case| wanted(&case.outcome)).count();
        [
            count(|outcome| *outcome == Outcome::Passed),
            count(|outcome| *outcome == Outcome::Failed),
            count(|outcome| matches!(outcome, Outcome::Ignored(_))),
        ]
    }

    fn broken(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Broken(_))).count()
    }

    /// Settles what was left open, and compares with what the program says; `None` if it ended before it did.
    fn close(&mut self, said: Option<Sums>) {
        for case in &mut self.cases {
            if case.outcome == Outcome::Unsaid {
                case.outcome = match said {
                    None => {
                        Outcome::Broken("the program ended in the middle of this test, or of one beside it".to_owned())
                    }
                    Some(_) if self.failed.contains(&case.name) => Outcome::Failed,
                    Some(_) => Outcome::Passed,
                };
            }
        }
        let problem = match said {
            None => "the program ended before its result".to_owned(),
            Some(said) if said != self.sums() => {
                format!("passed, failed, ignored: {said:?} by its result, but {:?} were found", self.sums())
            }
            Some(_) => return,
        };
        self.cases.push(Case { name: "the whole program".to_owned(), outcome: Outcome::Broken(problem) });
    }
}

#[derive(Default)]
struct Reader {
    suites: Vec<Suite>,
    open: Option<Suite>,
    /// Of the program that runs.
    name: String,
    documentation: bool,
    times: BTreeMap<String, usize>,
    /// Below `failures:`, and whose output is being read there.
    failures: bool,
    speaker: Option<String>,
}

impl Reader {
    fn close(&mut self, said: Option<Sums>, seconds: f64) {
        (self.failures, self.speaker) = (false, None);
        if let Some(mut suite) = self.open.take() {
            suite.seconds = seconds;
            suite.close(said);
            self.suites.push(suite);
        }
    }

    fn program(&mut self, name: &str, documentation: bool) {
        self.close(None, 0.0);
        // `tests/hostile.rs` may be in several crates.
        let times = self.times.entry(name.to_owned()).or_default();
        *times += 1;
        self.name = if *times == 1 { name.to_owned() } else { format!("{name}-{times}") };
        self.documentation = documentation;
    }

    fn line(&mut self, line: &str) {
        if let Some(name) = program_of(line) {
            return self.program(name, false);
        }
        if let Some(name) = line.trim_start().strip_prefix("Doc-tests ") {
            return self.program(&format!("doc-tests-{name}"), true);
        }
        if line.starts_with("running ") && (line.ends_with(" test") || line.ends_with(" tests")) {
            self.close(None, 0.0);
            let (name, documentation) = (self.name.clone(), self.documentation);
            self.open = Some(Suite { name, documentation, ..Suite::default() });
            return;
        }
        let Some(suite) = &mut self.open else { return };
        if let Some((said, seconds)) = result_of(line) {
            return self.close(Some(said), seconds);
        }
        if line == "failures:" {
            (self.failures, self.speaker) = (true, None);
        } else if self.failures {
            let speaker = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----"));
            if let Some(name) = speaker.and_then(|rest| rest.rsplit_once(' ')) {
                self.speaker = Some(name.0.to_owned());
            } else if let Some(name) = &self.speaker {
                let output = suite.output.entry(name.clone()).or_default();
                output.push_str(line);
                output.push('\n');
            } else if let Some(name) = line.strip_prefix("    ") {
                suite.failed.insert(name.to_owned());
            }
        } else if let Some((name, outcome)) = case_of(line) {
            suite.cases.push(Case { name: name.to_owned(), outcome });
        }
    }
}

/// `     Running tests/hostile.rs (target/release/deps/hostile-0123456789abcdef)` is of `hostile`.
fn program_of(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("Running ")?.strip_suffix(')')?;
    let (_, path) = rest.split_once('(')?;
    let file = path.rsplit(['/', '\\']).next()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _)| name))
}

/// `test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn result_of(line: &str) -> Option<(Sums, f64)> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut sums = Sums::default();
    let mut seconds = 0.0;
    for part in rest.split("; ") {
        match part.split_once(' ')? {
            (count, "passed") => sums[0] = count.parse().ok()?,
            (count, "failed") => sums[1] = count.parse().ok()?,
            (count, "ignored") => sums[2] = count.parse().ok()?,
            ("finished", rest) => seconds = rest.strip_prefix("in ")?.trim_end_matches('s').parse().ok()?,
            _ => {}
        }
    }
    Some((sums, seconds))
}

/// `test module::name ... ok`, whatever another program wrote before it in the same line.
fn case_of(line: &str) -> Option<(&str, Outcome)> {
    let start = if line.starts_with("test ") { 0 } else { line.rfind("test ")? };
    let (name, outcome) = line[start + "test ".len()..].split_once(" ... ")?;
    let outcome = match outcome {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Ignored(String::new()),
        other => match other.strip_prefix("ignored, ") {
            Some(why) => Outcome::Ignored(why.to_owned()),
            // With one thread the name comes first, and what the test's children write goes between.
            None if start == 0 => Outcome::Unsaid,
            None => return None,
        },
    };
    // What else is said of a test is no part of its name.
    Some((
        name.trim_end_matches(" - should panic").trim_end_matches(" - compile fail").trim_end_matches(" - compile"),
        outcome,
    ))
}

fn read(log: &str) -> Vec<Suite> {
    let mut reader = Reader::default();
    log.lines().for_each(|line| reader.line(line));
    reader.close(None, 0.0);
    reader.suites.retain(|suite| !suite.cases.is_empty());
    reader.suites
}

/// Text of XML 1.0, which has no place for most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push('\t'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_ascii_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Class and name, as readers of JUnit group them: of `cli::tests::works` in `serve`, `serve.cli.tests` and `works`.
fn class_of(suite: &Suite, name: &str, prefix: &str) -> (String, String) {
    let class = format!("{prefix}{}", suite.name);
    match name.rsplit_once("::") {
        Some((module, name)) if !suite.documentation => {
            (format!("{class}.{}", module.replace("::", ".")), name.to_owned())
        }
        _ => (class, name.to_owned()),
    }
}

fn write(suites: &[Suite], prefix: &str) -> String {
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
    let mut body = String::new();
    let [mut tests, mut failures, mut skipped, mut errors] = [0; 4];
    for suite in suites {
        let [_, failed, ignored] = suite.sums();
        let (all, broken) = (suite.cases.len(), suite.broken());
        tests += all;
        failures += failed;
        skipped += ignored;
        errors += broken;
        // Writing to a `String` does not fail.
        let _ = writeln!(
            body,
            r#"  <testsuite name="{}{}" tests="{all}" failures="{failed}" errors="{broken}" skipped="{ignored}" time="{:.2}">"#,
            escape(&prefix),
            escape(&suite.name),
            suite.seconds
        );
        for case in &suite.cases {
            let (class, name) = class_of(suite, &case.name, &prefix);
            let _ = write!(body, r#"    <testcase classname="{}" name="{}""#, escape(&class), escape(&name));
            let inside = match &case.outcome {
                Outcome::Passed | Outcome::Unsaid => String::new(),
                Outcome::Ignored(why) => format!(r#"<skipped message="{}"/>"#, escape(why)),
                Outcome::Broken(what) => format!(r#"<error message="{}"/>"#, escape(what)),
                Outcome::Failed => {
                    let output = suite.output.get(&case.name).map_or("", String::as_str);
                    format!(r#"<failure message="{}">{}</failure>"#, escape(message(output)), escape(output))
                }
            };
            body.push_str(&if inside.is_empty() { "/>\n".to_owned() } else { format!(">{inside}</testcase>\n") });
        }
        body.push_str("  </testsuite>\n");
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n{body}</testsuites>\n"
    )
}

/// The line that says most: the one after that of the panic.
fn message(output: &str) -> &str {
    let mut lines = output.lines().filter(|line| !line.trim().is_empty());
    let first = lines.clone().next().unwrap_or("it failed");
    lines.find(|line| line.contains(" panicked at ")).and_then(|_| lines.next()).unwrap_or(first)
}

fn main() -> ExitCode {
    let prefix = env::args().nth(1).unwrap_or_default();
    let mut log = Vec::new();
    if let Err(error) = io::stdin().lock().read_to_end(&mut log) {
        eprintln!("junit: failed to read the log from standard input: {error}");
        return ExitCode::FAILURE;
    }
    let suites = read(&String::from_utf8_lossy(&log));
    if let Err(error) = io::stdout().lock().write_all(write(&suites, &prefix).as_bytes()) {
        eprintln!("junit: failed to write to standard output: {error}");
        return ExitCode::FAILURE;
    }
    if suites.is_empty() {
        eprintln!("junit: there is no test in the log");
        return ExitCode::FAILURE;
    }
    let broken: Vec<_> = suites.iter().filter(|suite| suite.broken() > 0).map(|suite| suite.name.as_str()).collect();
    if !broken.is_empty() {
        eprintln!("junit: no sound result of {}; the XML says why", broken.join(", "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"
    Finished `release` profile [optimized + debuginfo] target(s) in 0.30s
     Running unittests src/lib.rs (/somewhere/target/release/deps/serve-0123456789abcdef)

running 4 tests
test cli::tests::works ... ok
test cli::tests::refuses - should panic ... ok
test slow ... ignored, takes an hour
test cli::tests::breaks ... FAILED

failures:

---- cli::tests::breaks stdout ----

thread 'cli::tests::breaks' panicked at serve/src/cli.rs:1:2:
assertion `left == right` failed: a < b & "c"
  left: 1
 right: 2

---- cli::tests::breaks stderr ----
more


failures:
    cli::tests::breaks

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.50s

error: test failed, to rerun pass `-p serve --lib`
     Running unittests src/main.rs (/somewhere/target/release/deps/serve-fedcba9876543210)

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests features

running 2 tests
test features/src/clip.rs - clip::Clip::new (line 7) ... ok
test features/src/lib.rs - (line 12) - compile ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.25s
"#;

    fn sums(log: &str) -> Vec<(String, Sums, usize)> {
        read(log).iter().map(|suite| (suite.name.clone(), suite.sums(), suite.broken())).collect()
    }

    #[test]
    fn a_log_is_read() {
        assert_eq!(sums(LOG), [("serve".to_owned(), [2, 1, 1], 0), ("doc-tests-features".to_owned(), [2, 0, 0], 0)]);
    }

    #[test]
    fn xml_says_what_the_log_said() {
        let xml = write(&read(LOG), "stack");
        for part in [
            r#"<testsuites tests="6" failures="1" errors="0" skipped="1">"#,
            r#"<testsuite name="stack.serve" tests="4" failures="1" errors="0" skipped="1" time="1.50">"#,
            r#"<testcase classname="stack.serve.cli.tests" name="works"/>"#,
            r#"<testcase classname="stack.serve.cli.tests" name="refuses"/>"#,
            r#"<testcase classname="stack.serve" name="slow"><skipped message="takes an hour"/></testcase>"#,
            r#"<failure message="assertion `left == right` failed: a &lt; b &amp; &quot;c&quot;">"#,
            "right: 2&#10;&#10;more&#10;",
            r#"<testcase classname="stack.doc-tests-features" name="features/src/clip.rs - clip::Clip::new (line 7)"/>"#,
            r#"name="features/src/lib.rs - (line 12)"/>"#,
        ] {
            assert!(xml.contains(part), "{part} is not in\n{xml}");
        }
    }

    #[test]
    fn programs_of_one_name_are_told_apart() {
        let log = LOG.replace("Doc-tests features", "Running tests/serve.rs (x/serve-00)");
        let names: Vec<_> = sums(&log).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["serve", "serve-3"]);
    }

    #[test]
    fn what_children_write_into_a_line_is_no_matter() {
        let log = "running 3 tests\ntest a ... == a child\nfurther\nok\ntest b ... noise\nFAILED\nno end of linetest c ... ok\n\
                   failures:\n\nfailures:\n    b\n\n\
                   test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(sums(log), [(String::new(), [2, 1, 0], 0)]);
    }

    #[test]
    fn a_program_that_died_is_an_error() {
        let log = "running 2 tests\ntest a ... ok\nerror: test failed (signal: 11, SIGSEGV)\n";
        assert_eq!(sums(log), [(String::new(), [1, 0, 0], 1)]);
        let log = format!("{log}     Running tests/b.rs (x/b-00)\nrunning 1 test\ntest b ... killed");
        assert_eq!(sums(&log)[1], ("b".to_owned(), [0, 0, 0], 2));
    }

    #[test]
    fn sums_that_differ_are_an_error() {
        let log = LOG.replace("2 passed; 0 failed", "3 passed; 0 failed");
        assert_eq!(sums(&log)[1].2, 1);
        assert!(write(&read(&log), "").contains("[3, 0, 0] by its result, but [2, 0, 0] were found"));
    }

    #[test]
    fn characters_that_xml_has_not_are_replaced() {
        assert_eq!(escape("\u{1b}[31m<\u{0}>\tä"), "\u{fffd}[31m&lt;\u{fffd}&gt;\tä");
    }

    #[test]
    fn an_empty_log_has_no_tests() {
        assert!(read("error: could not compile `serve`\n").is_empty());
    }
}
