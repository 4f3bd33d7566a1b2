//! «Did you mean»: the known name that a misspelt one most likely stands for.

/// Longer names are nobody's slip of the keyboard, and comparing takes time with the square of the length. In bytes.
const LENGTH_MAX: usize = 64;

/// Returns the name of `known` that needs the fewest edits to become `name` (Damerau-Levenshtein distance, in characters, without regard to case);
/// of several the first in byte order. `None` if none is near: within one edit for names of up to three characters, two edits, or a third of the
/// known name's length.
pub fn nearest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LENGTH_MAX {
        return None;
    }
    let name = name.to_lowercase();
    let length = name.chars().count();
    let near = known.into_iter().filter(|candidate| candidate.len() <= LENGTH_MAX).filter_map(|candidate| {
        let candidate_length = candidate.chars().count();
        let edits_max = if candidate_length.min(length) <= 3 { 1 } else { 2.max(candidate_length / 3) };
        if candidate_length.abs_diff(length) > edits_max {
            return None;
        }
        let edits = strsim::damerau_levenshtein(&name, &candidate.to_lowercase());
        (edits <= edits_max).then_some((edits, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_name_is_found_and_a_far_one_is_not() {
        let known = ["bash", "busybox", "kernel-core", "install", "installonly", "vim", "NetworkManager", "sh", "été"];
        for (name, expected) in [
            ("bash", Some("bash")),
            ("bahs", Some("bash")),
            ("bas", Some("bash")),
            ("BASH", Some("bash")),
            ("kernelcore", Some("kernel-core")),
            ("kernel-croe", Some("kernel-core")),
            ("instal", Some("install")),
            ("installonyl", Some("installonly")),
            ("networkmanager", Some("NetworkManager")),
            ("vmi", Some("vim")),
            ("vi", Some("vim")),
            ("hs", Some("sh")),
            ("ete", None),
            ("éte", Some("été")),
            ("zsh", Some("sh")),
            ("zip", None),
            ("python3", None),
            ("", None),
        ] {
            assert_eq!(nearest_name(name, known), expected, "{name:?}");
        }
    }

    #[test]
    fn of_two_names_equally_near_the_first_in_byte_order_is_taken() {
        for known in [["task-a", "task-b"], ["task-b", "task-a"]] {
            assert_eq!(nearest_name("task-x", known), Some("task-a"));
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_compared_with_none() {
        for (length, expected) in [(64, true), (65, false)] {
            let name = "n".repeat(length);
            assert_eq!(nearest_name(&name, [name.as_str()]).is_some(), expected, "{length}");
        }
    }
}
