//! The commands that the README tells people to type on Kubernetes.
//!
//! Under the heading "On Kubernetes" every block marked `bash` is one script, run at the root of
//! the checkout; those marked `console`, `yaml` or `text` only show something. Each block belongs
//! to the section that its nearest heading names.

/// Where the blocks are.
const CHAPTER: &str = "## On Kubernetes";

/// The scripts of a section, in their order; none if there is no such section.
pub fn scripts(readme: &str, section: &str) -> Vec<String> {
    all(readme).into_iter().filter(|(name, _)| name == section).map(|(_, text)| text).collect()
}

/// Every script with its section.
pub fn all(readme: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut within, mut section) = (false, String::new());
    let mut block: Option<(bool, String)> = None;
    for line in readme.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some((language.trim() == "bash", String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, text)) = block.take().filter(|_| within) {
                    found.push((section.clone(), text));
                }
                block = None;
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {
                if line.starts_with("## ") {
                    within = line == CHAPTER;
                    section.clear();
                } else if let Some(name) = line.strip_prefix("### ") {
                    name.clone_into(&mut section);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bash_blocks_of_the_chapter_are_scripts() {
        let text = "## Before\n```bash\nno\n```\n## On Kubernetes\n### Install\n```bash\none\n```\n\
                    ```console\nno\n```\n### Use\n```bash\ntwo\nthree\n```\n## After\n```bash\nno\n```\n";
        assert_eq!(scripts(text, "Install"), ["one\n"]);
        assert_eq!(scripts(text, "Use"), ["two\nthree\n"]);
        assert_eq!(all(text).len(), 2);
    }
}
