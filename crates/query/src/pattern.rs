//! Patterns in URLs, such as `s3://bucket/folder/*.parquet`; those in local paths are DataFusion's.

use datafusion::{
    common::{DataFusionError, Result},
    datasource::listing::ListingTableUrl,
};
use glob::Pattern;
use url::Url;

/// The folder before a URL's first segment with a pattern, and the pattern from there on; nothing
/// for local paths, plain URLs and those of web servers, which list nothing.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) =
        text.split_once("://").filter(|(scheme, _)| !scheme.starts_with("http"))?;
    // Of `host/folder/*.csv` the host is never a pattern.
    let host = rest.find('/')?;
    let first = rest[host..].find(['*', '?', '['])? + host;
    let folder = rest[..first].rfind('/')? + 1;
    let at = scheme.len() + "://".len() + folder;
    Some((&text[..at], &text[at..]))
}

/// The files in a folder that match a pattern.
pub(crate) fn url(folder: &str, pattern: &str) -> Result<ListingTableUrl> {
    let external = |error| DataFusionError::External(error);
    let folder = Url::parse(folder).map_err(|error| external(Box::new(error)))?;
    let pattern = Pattern::new(pattern).map_err(|error| external(Box::new(error)))?;
    ListingTableUrl::try_new(folder, Some(pattern))
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    #[test]
    fn a_url_is_split_before_its_first_segment_with_a_pattern() {
        for (text, expected) in [
            ("s3://bucket/a/*.csv", Some(("s3://bucket/a/", "*.csv"))),
            ("s3://bucket/a-?/b/*.csv", Some(("s3://bucket/", "a-?/b/*.csv"))),
            (
                "gs://bucket/year=20[12]*/x.parquet",
                Some(("gs://bucket/", "year=20[12]*/x.parquet")),
            ),
            ("file:///a/b/*", Some(("file:///a/b/", "*"))),
            ("https://host/a.csv?token=*", None),
            ("s3://bucket/a/", None),
            ("s3://bucket", None),
            ("/a/*.csv", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn only_files_that_match_are_taken() {
        let found = url("s3://bucket/a/", "*.csv").unwrap();
        for (path, taken) in [("a/x.csv", true), ("a/x.parquet", false), ("b/x.csv", false)] {
            assert_eq!(found.contains(&Path::from(path), false), taken, "{path}");
        }
    }
}
