//! Reads what is not Rust: protos, the README and the other Markdown pages.
//!
//! Invariants: text in, findings out; nothing here opens a file.
//!
//! Not here: which files are read and what a finding means (`../tidy.rs`).

use super::Offence;
use super::source::{split, without_tests};

/// Every rpc says when it may be retried and what it does; the file says what it is for.
pub fn judge_proto(content: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    if !content.starts_with("//") {
        found.push((1, "does not open with a comment".to_owned()));
    }
    let lines: Vec<&str> = content.lines().map(str::trim).collect();
    for (i, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.starts_with("rpc "))
    {
        if i == 0 || !lines[i - 1].starts_with("//") {
            found.push((i + 1, format!("`{line}` has no comment")));
        }
        let option = |line: &&str| line.starts_with("option (vedetta.v1.retry) = RETRY_");
        let ends = |line: &&&str| **line == "}" || line.starts_with("rpc ");
        let block = lines[i + 1..].iter().take_while(|line| !ends(line));
        if !block.copied().any(|line| option(&line)) {
            found.push((
                i + 1,
                format!("`{line}` does not say `option (vedetta.v1.retry)`"),
            ));
        }
    }
    found
}

/// The environment variables that a file of `src/config/` lists: its literals `"VEDETTA_…"` outside tests that
/// are an argument, an item or a field, but not one that a name is compared with.
pub fn settings(content: &str) -> Vec<&str> {
    // Cleaning keeps every character in its place, so positions in the two texts agree.
    let shipped: Vec<char> = without_tests(&split(content).0).code.chars().collect();
    let named = |(byte, _): (usize, &str)| {
        let before = &shipped[..content[..byte].chars().count()];
        let before = before.iter().rev().find(|c| !c.is_whitespace())?;
        let name = content[byte + 1..].split('"').next()?;
        let listed = matches!(before, ',' | ':' | '[') && !name.ends_with('_');
        listed.then_some(name)
    };
    content
        .match_indices("\"VEDETTA_")
        .filter_map(named)
        .collect()
}

/// Whether the text has the name as a whole word.
pub fn mentions(content: &str, name: &str) -> bool {
    content
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| word == name)
}

/// Targets of Markdown links to local files, with their lines; fenced code has none.
pub fn local_links(content: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line) in content.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let inline = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', ' ']).next());
        let named = line
            .strip_prefix('[')
            .and_then(|line| Some(line.split_once("]: ")?.1.trim()));
        for target in inline.chain(named).filter(|_| !fenced) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push((number + 1, file));
            }
        }
    }
    found
}
