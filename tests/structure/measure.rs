//! Reads Rust as text. That is enough, since `scripts/verify` also checks the format: a function's closing brace stands
//! where its first line begins.

/// A function in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Line of its signature, from 1.
    pub begins: usize,
    /// Lines of code, signature and closing brace included.
    pub lines: usize,
}

/// Lines of code with their numbers: not blank, and not comments.
pub fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block_comment = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let line = line.trim();
        let begins = line.starts_with("/*");
        if in_block_comment || begins {
            in_block_comment = !line.contains("*/");
            return false;
        }
        !line.is_empty() && !line.starts_with("//")
    })
}

/// How many there are.
pub fn code_lines(text: &str) -> usize {
    code(text).count()
}

/// All functions, nested ones too, in order of their ends.
pub fn functions(text: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for (number, line) in code(text) {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if is_signature(line) {
            open.push(Open { indent, body: false, function: Function { begins: number, lines: 0 } });
        }
        for outer in &mut open {
            outer.function.lines += 1;
        }
        let Some(inner) = open.last_mut() else {
            continue;
        };
        inner.body |= line.ends_with('{');
        let ends = match inner.body {
            true => line == "}" && indent == inner.indent,
            // A signature without a body, or with one on the same line.
            false => line.ends_with([';', '}']),
        };
        if ends {
            found.extend(open.pop().map(|ended| ended.function));
        }
    }
    found
}

/// A function whose end was not yet seen.
struct Open {
    indent: usize,
    body: bool,
    function: Function,
}

/// Lines of code with their numbers; a `use` that stands on several lines is one, under the number of its first.
pub fn statements(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut in_use = false;
    for (number, line) in code(text) {
        match found.last_mut().filter(|_| in_use) {
            Some((_, whole)) => *whole += line.trim(),
            None => found.push((number, line.trim().to_owned())),
        }
        in_use = found.last().is_some_and(|(_, whole)| is_use(whole) && !whole.ends_with(';'));
    }
    found
}

/// The statement names this crate: as the head of a path, or as what a `use` begins with.
pub fn names_crate(statement: &str, name: &str) -> bool {
    if is_use(statement) {
        let path = statement.split_once("use ").map_or("", |(_, path)| path.trim_start_matches("::"));
        let rest = path.strip_prefix(name);
        return rest.is_some_and(|rest| rest.starts_with("::") || rest.starts_with([';', ' ']));
    }
    statement.match_indices(name).any(|(at, _)| {
        let before = statement[..at].chars().next_back();
        let inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        !inside && statement[at + name.len()..].starts_with("::")
    })
}

/// The statement names this module somewhere in a path.
pub fn names_module(statement: &str, name: &str) -> bool {
    statement.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = statement[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn is_use(line: &str) -> bool {
    line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("pub(crate) use ")
}

fn is_signature(line: &str) -> bool {
    let mut rest = line;
    loop {
        if rest.starts_with("fn ") {
            return true;
        }
        let word = rest.split_once(' ').map(|(word, _)| word);
        match word {
            Some("pub" | "const" | "async" | "default") => {}
            Some(word) if word.starts_with("pub(") => {}
            _ => return false,
        }
        rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
    }
}

#[test]
fn comments_and_blank_lines_are_no_code() {
    let text = "//! Essay.\n\n/* old\nwords */\nfn one() {\n    // Why.\n    two(); // here\n}\n";
    assert_eq!(code(text).collect::<Vec<_>>(), [(5, "fn one() {"), (7, "    two(); // here"), (8, "}")]);
}

#[test]
fn a_function_is_counted_from_its_signature_to_its_brace() {
    let text = "trait T {\n    fn a(&self);\n    pub(crate) async fn b(\n        x: u8,\n    ) -> u8 {\n\n        if x {\n            y\n        }\n    }\n    fn d<T>(\n        t: T,\n    ) -> u8\n    where\n        T: Copy;\n}\nfn c() {}\n";
    let counted: Vec<_> = functions(text).into_iter().map(|f| (f.begins, f.lines)).collect();
    assert_eq!(counted, [(2, 1), (3, 7), (11, 5), (17, 1)]);
}

#[test]
fn a_crate_is_named_by_paths_and_uses_only() {
    assert!(names_crate("let db = sled::Config::new();", "sled"));
    assert!(names_crate("use sled::Db;", "sled"));
    assert!(names_crate("pub use sled;", "sled"));
    assert!(!names_crate("mod sled;", "sled"));
    assert!(!names_crate("use super::sled::Engine;", "sled"));
    assert!(!names_crate("use super::{sled::Engine, Mark};", "sled"));
    assert!(!names_crate("use crate::muzzled::Dog;", "sled"));
    assert!(!names_crate("let sled_engine = 1;", "sled"));
    assert!(!names_crate("fail(\"the sled database is damaged\")", "sled"));
}

#[test]
fn a_use_on_several_lines_is_one_statement() {
    let text = "use crate::{\n    // Why.\n    raft::Node,\n    reader::Reader,\n};\nfn a() {}\n";
    let whole = (1, "use crate::{raft::Node,reader::Reader,};".to_owned());
    assert_eq!(statements(text), [whole, (6, "fn a() {}".to_owned())]);
    assert!(names_module(&statements(text)[0].1, "raft"));
    assert!(!names_module("let aircraft::Wing = 1;", "raft"));
}
