//! What a name that no setting has was most likely meant to be.
//!
//! Not here: which names exist (`setting`).

/// The problem of a name that is none of the candidates.
pub(super) fn unknown<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    match closest(word, candidates) {
        Some(near) => format!("is not a setting; did you mean {near}?"),
        None => "is not a setting; remove it or take a name from the list of settings".to_owned(),
    }
}

/// The candidate that is few slips away.
fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Three slips in a long name are still that name; in a short one they are another word.
    let most = (word.chars().count() / 4).clamp(1, 3);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The number of characters to insert, remove or replace between two words (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("listen", "listn", 1),
            ("kitten", "sitting", 3),
            ("abc", "cba", 2),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let words = ["api.listen", "api.workers", "ttl"];
        assert_eq!(closest("api.listn", words.into_iter()), Some("api.listen"));
        assert_eq!(
            closest("api.werkers", words.into_iter()),
            Some("api.workers")
        );
        assert_eq!(closest("tll", words.into_iter()), Some("ttl"));
        assert_eq!(closest("abc", words.into_iter()), None);
        assert_eq!(closest("something.else", words.into_iter()), None);
    }
}
