//! Words that were meant, for words that are not known.

/// The nearest of `known`, where one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Typing errors are few letters; and a long word costs time for each known one.
    if word.len() > 40 {
        return None;
    }
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .map(|name| (strsim::osa_distance(&lower, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = || ["kernel", "initrd", "boot", "root"].into_iter();
        assert_eq!(nearest("Kernel", known()), Some("kernel"));
        assert_eq!(nearest("kernal", known()), Some("kernel"));
        assert_eq!(nearest("inird", known()), Some("initrd"));
        assert_eq!(nearest("frobnicate", known()), None);
        assert_eq!(nearest("", known()), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), known()), None);
    }
}
