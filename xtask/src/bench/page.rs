//! `docs/benchmarks.md`: one section for each benchmark, which a new run replaces and leaves the others as they are.

use std::path::Path;

/// Puts a section, which begins with its heading (`# …`), in the place of the one with the same heading, or behind the rest.
pub(crate) fn put(root: &Path, section: &str) -> Result<(), String> {
    let path = root.join("docs/benchmarks.md");
    let page = match std::fs::read_to_string(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("can't read {}: {error}", path.display())),
    };
    std::fs::write(&path, with_section(&page, section))
        .map_err(|error| format!("can't write {}: {error}", path.display()))
}

fn with_section(page: &str, section: &str) -> String {
    let heading = section.lines().next().unwrap_or_default();
    let mut sections: Vec<String> = Vec::new();
    for line in page.lines() {
        if line.starts_with("# ") || sections.is_empty() {
            sections.push(String::new());
        }
        if let Some(last) = sections.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    match sections.iter_mut().find(|old| old.lines().next() == Some(heading)) {
        Some(old) => section.clone_into(old),
        None => sections.push(section.to_owned()),
    }
    let sections: Vec<&str> = sections.iter().map(|section| section.trim_end()).collect();
    format!("{}\n", sections.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_or_added_and_the_others_stay() {
        let page = with_section("", "# A\n\none\n");
        assert_eq!(page, "# A\n\none\n");
        let page = with_section(&page, "# B\n\n## of B\n\ntwo\n");
        let page = with_section(&page, "# A\n\nthree\n");
        assert_eq!(page, "# A\n\nthree\n\n# B\n\n## of B\n\ntwo\n");
    }
}
