//! Reads Rust text just well enough for the rules: what is code, what is a test, which paths are named.
//!
//! Invariants: line numbers survive every step. Nothing inside a comment or a literal is ever taken for code.
//! Text that is not valid Rust gives wrong answers but never a panic or an endless loop.
//!
//! Not here: what any of it means (`../tidy.rs`), and macros, which are not expanded.

/// A word, `::` or a single sign.
pub struct Token {
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

/// A path as written, made absolute where it began with `crate`, `self` or `super`.
pub struct Named {
    pub segments: Vec<String>,
    pub line: usize,
}

impl Named {
    /// The first segment: a crate, or `crate` for this one.
    pub fn first(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }

    /// Whether `first` directly followed by a segment that `second` accepts occurs in the path.
    pub fn has(&self, first: &str, second: impl Fn(&str) -> bool) -> bool {
        self.segments
            .windows(2)
            .any(|pair| pair[0] == first && second(&pair[1]))
    }
}

/// Splits Rust text into its code and its comments, each with the other part and all literals blanked.
pub fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut code, mut comments, mut i) = (String::new(), String::new(), 0);
    while i < chars.len() {
        let start = i;
        let mut comment = false;
        let opens_word = i == 0 || !is_word(at(i - 1)) || matches!(at(i - 1), 'b' | 'c');
        let hashes = (i + 1..).take_while(|&j| at(j) == '#').count();
        if at(i) == '/' && at(i + 1) == '/' {
            comment = true;
            i = (i..)
                .find(|&j| j >= chars.len() || at(j) == '\n')
                .unwrap_or(i);
        } else if at(i) == '/' && at(i + 1) == '*' {
            comment = true;
            let mut depth = 0;
            while i < chars.len() {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 {
                    break;
                }
            }
        } else if at(i) == 'r' && opens_word && at(i + 1 + hashes) == '"' {
            i += 2 + hashes;
            let closes = |j: usize| at(j) == '"' && (1..=hashes).all(|k| at(j + k) == '#');
            i = (i..chars.len()).find(|&j| closes(j)).unwrap_or(chars.len()) + 1 + hashes;
        } else if at(i) == '"' || (at(i) == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'')) {
            i += 1;
            while i < chars.len() && at(i) != at(start) {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else {
            code.push(at(i));
            comments.push(if at(i) == '\n' { '\n' } else { ' ' });
            i += 1;
            continue;
        }
        for &c in &chars[start..i.min(chars.len())] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            code.push(blank);
            comments.push(if comment { c } else { blank });
        }
    }
    (code, comments)
}

/// Code that ships, as told apart by [`without_tests`].
pub struct Shipped {
    /// The code with every item under `#[cfg(test)]` blanked.
    pub code: String,
    /// How many lines those items had.
    pub test_lines: usize,
    /// Modules among them that live in files of their own (`#[cfg(test)] mod tests;`).
    pub test_modules: Vec<String>,
}

/// Takes every item under `#[cfg(test)]` out of code that [`split`] has cleaned.
pub fn without_tests(code: &str) -> Shipped {
    const MARK: &str = "#[cfg(test)]";
    let mut rest: Vec<char> = code.chars().collect();
    let mark: Vec<char> = MARK.chars().collect();
    let (mut test_modules, mut test_lines) = (Vec::new(), 0);
    while let Some(start) = rest.windows(mark.len()).position(|w| w == mark) {
        let (mut depth, mut braces, mut end) = (0i32, 0i32, start + mark.len());
        while end < rest.len() {
            match rest[end] {
                '(' | '[' | '<' => depth += 1,
                '>' if matches!(rest[end - 1], '-' | '=') => {}
                ')' | ']' | '>' => depth -= 1,
                '{' => braces += 1,
                '}' if braces == 0 => break,
                '}' if braces == 1 => {
                    end += 1;
                    break;
                }
                '}' => braces -= 1,
                ';' | ',' if braces == 0 && depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        let item: String = rest[start + mark.len()..end].iter().collect();
        if let Some((_, name)) = item.split_once("mod ").filter(|_| !item.contains('{')) {
            test_modules.push(name.trim().to_owned());
        }
        test_lines += 1 + rest[start..end].iter().filter(|c| **c == '\n').count();
        rest[start..end]
            .iter_mut()
            .filter(|c| **c != '\n')
            .for_each(|c| *c = ' ');
    }
    let code = rest.into_iter().collect();
    Shipped {
        code,
        test_lines,
        test_modules,
    }
}

/// Cuts code into words and signs.
pub fn tokens(code: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    for (number, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            found.push(Token {
                text: rest[..length].to_owned(),
                line: number + 1,
            });
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// The text of a token, empty past the end.
pub fn text(tokens: &[Token], i: usize) -> &str {
    tokens.get(i).map_or("", |token| &token.text)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Follows one path, through `use` groups, and returns where it ends.
fn follow(tokens: &[Token], mut i: usize, mut base: Vec<String>, out: &mut Vec<Named>) -> usize {
    let line = tokens.get(i).map_or(0, |token| token.line);
    loop {
        match text(tokens, i) {
            "{" => {
                i += 1;
                while !matches!(text(tokens, i), "}" | "") {
                    i = match text(tokens, i) {
                        "," => i + 1,
                        _ => follow(tokens, i, base.clone(), out).max(i + 1),
                    };
                }
                return i + 1;
            }
            "crate" => base = vec!["crate".to_owned()],
            "super" => drop(base.pop()),
            "self" => {}
            segment if is_name(segment) || segment == "*" => base.push(segment.to_owned()),
            _ => break,
        }
        i += 1;
        if text(tokens, i) != "::" {
            i += if text(tokens, i) == "as" { 2 } else { 0 };
            break;
        }
        i += 1;
    }
    out.push(Named {
        segments: base,
        line,
    });
    i
}

/// Every path in the code of the file at `path` (relative to the repository).
pub fn paths(path: &str, tokens: &[Token]) -> Vec<Named> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let outer: Vec<String> = std::iter::once("crate")
        .chain(
            inner
                .split('/')
                .filter(|part| !matches!(*part, "mod" | "lib" | "main")),
        )
        .map(str::to_owned)
        .collect();
    let (mut found, mut modules, mut depth, mut i) = (Vec::new(), Vec::new(), 0usize, 0);
    while i < tokens.len() {
        let this = text(tokens, i);
        let before = if i == 0 { "" } else { text(tokens, i - 1) };
        match this {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                modules.retain(|(_, opened)| *opened <= depth);
            }
            "mod" if text(tokens, i + 2) == "{" => {
                modules.push((text(tokens, i + 1).to_owned(), depth + 1));
            }
            _ => {}
        }
        let begins = text(tokens, i + 1) == "::" || before == "use";
        if is_name(this) && this != "use" && begins {
            let relative = matches!(this, "self" | "super");
            let inline = modules.iter().map(|(name, _)| name.clone());
            let base = outer
                .iter()
                .cloned()
                .chain(inline)
                .filter(|_| relative)
                .collect();
            i = follow(tokens, i, base, &mut found);
        } else {
            i += 1;
        }
    }
    found
}
