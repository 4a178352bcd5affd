//! Templates of paths (Envoy: `UriTemplateMatchConfig`, `UriTemplateRewriteConfig`), as regular
//! expressions: `*` is a segment, `**` is any rest, `{name}` and `{name=pattern}` are captured.

use crate::mesh::pattern::Pattern;

/// A template that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PathTemplate {
    /// What paths match it; its groups are the names in order.
    pub(super) pattern: Pattern,
    names: Vec<String>,
}

/// Substitutions can name this many groups.
const NAMES_MAX: usize = 9;

impl PathTemplate {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("`{text}`: a template begins with `/`"));
        }
        let (mut source, mut names) = (String::from("^"), Vec::new());
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            push_pattern(&mut source, &rest[..start]);
            let (inside, after) = rest[start + 1..].split_once('}').ok_or_else(|| format!("`{text}`: a brace is not closed"))?;
            let (name, pattern) = inside.split_once('=').unwrap_or((inside, "*"));
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name || names.iter().any(|known| known == name) {
                return Err(format!("`{text}`: `{name}` is no name, or is there twice"));
            }
            names.push(name.to_owned());
            source.push('(');
            push_pattern(&mut source, pattern);
            source.push(')');
            rest = after;
        }
        push_pattern(&mut source, rest);
        source.push('$');
        if names.len() > NAMES_MAX {
            return Err(format!("`{text}`: more than {NAMES_MAX} names"));
        }
        let pattern = Pattern::new(&source).map_err(|error| format!("`{text}`: {error}"))?;
        Ok(PathTemplate { pattern, names })
    }

    /// The substitution that a rewriting template means.
    pub(super) fn substitution(&self, rewrite: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = rewrite;
        while let Some(start) = rest.find('{') {
            out.push_str(&rest[..start].replace('\\', "\\\\"));
            let (name, after) = rest[start + 1..].split_once('}').ok_or_else(|| format!("`{rewrite}`: a brace is not closed"))?;
            let group = self.names.iter().position(|known| known == name);
            let group = group.ok_or_else(|| format!("`{rewrite}`: the path's template has no `{name}`"))?;
            out.push_str(&format!("\\{}", group + 1));
            rest = after;
        }
        out.push_str(&rest.replace('\\', "\\\\"));
        Ok(out)
    }
}

fn push_pattern(source: &mut String, text: &str) {
    let mut rest = text;
    while let Some(star) = rest.find('*') {
        source.push_str(&regex::escape(&rest[..star]));
        match rest[star..].strip_prefix("**") {
            Some(after) => {
                source.push_str(".*");
                rest = after;
            }
            None => {
                source.push_str("[^/]+");
                rest = &rest[star + 1..];
            }
        }
    }
    source.push_str(&regex::escape(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_and_rewrite() {
        for (template, rewrite, path, expected) in [
            ("/v1/{id}/view", "/{id}", "/v1/7/view", Some("/7")),
            ("/v1/{id}/view", "/{id}", "/v1/7/8/view", None),
            ("/v1/*/{rest=**}", "/x/{rest}", "/v1/a/b/c", Some("/x/b/c")),
            ("/{a}/{b}", "/{b}/{a}", "/1/2", Some("/2/1")),
            ("/{a=x/*}/b", "/{a}", "/x/y/b", Some("/x/y")),
            ("/a.b/**", "/n", "/aXb/c", None),
        ] {
            let read = PathTemplate::parse(template).unwrap();
            let substitution = read.substitution(rewrite).unwrap();
            let actual = read.pattern.matches(path).then(|| read.pattern.replace_all(path, &substitution));
            assert_eq!(actual.as_deref(), expected, "{template} {path}");
        }
        for wrong in ["v1", "/{a", "/{a}/{a}", "/{1}"] {
            assert!(PathTemplate::parse(wrong).is_err(), "{wrong}");
        }
        assert!(PathTemplate::parse("/{a}").unwrap().substitution("/{b}").is_err());
    }
}
