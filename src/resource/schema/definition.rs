//! The notation that the schemas are written in, and what is read from it.
//!
//! One line is one field, indented below its parent: `name type | rule | rule`. `!` behind the name
//! says that the field is required, `-` stands for each item of a list, `*` for each value of a
//! mapping, `[T]` and `{T}` for lists and mappings whose entries have no rules, `@Name` for what
//! `define Name` says further up. `pattern name regex` names a regular expression.

use std::sync::LazyLock;

use regex::Regex;

use super::relations::{self, Relation};

/// What is known about one value.
#[derive(Debug, Default, Clone)]
pub(super) struct Schema {
    pub(super) shape: Shape,
    /// Whether null is a value of its own, rather than the same as an absent field.
    pub(super) nullable: bool,
    pub(super) rules: Vec<Rule>,
}

/// What a value consists of.
#[derive(Debug, Default, Clone)]
pub(super) enum Shape {
    /// Anything.
    #[default]
    Any,
    /// A mapping with these fields.
    Object {
        /// In the order of the definitions.
        fields: Vec<Field>,
        /// Whether other fields are welcome too.
        open: bool,
    },
    /// A mapping with free keys.
    Map(SchemaId),
    /// A list.
    List(SchemaId),
    /// A string.
    Text,
    /// A duration as Go writes it.
    Duration,
    /// Base64.
    Bytes,
    /// A boolean.
    Bool,
    /// A whole number of a type with these bounds.
    Whole(i64, i64),
    /// Any number.
    Number,
    /// A whole number or a string.
    WholeOrText,
}

/// A field of an object.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) schema: SchemaId,
}

/// Where a schema stands among the definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SchemaId(usize);

/// What must hold for a value.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// The string is one of these words.
    Words(Vec<&'static str>),
    /// The number lies in here.
    In(f64, f64),
    /// The list or mapping has so many entries.
    Items(usize, usize),
    /// The string has so many characters.
    Length(usize, usize),
    /// The string matches, and what such a string is called.
    Pattern(Box<Regex>, &'static str),
    /// The mapping has at most one of these fields.
    AtMostOne(Vec<&'static str>),
    /// No two items of the list are equal.
    Set,
    /// No two items of the list agree in all of these fields.
    Unique(Vec<&'static str>),
    /// A relation that needs code.
    Holds(Relation),
}

/// The schema of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct KindSchema {
    group: &'static str,
    kind: &'static str,
    /// Whether objects of the kind need a `spec`.
    pub(super) spec_required: bool,
    pub(super) spec: SchemaId,
}

/// All that one text defines.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    schemas: Vec<Schema>,
    kinds: Vec<KindSchema>,
    names: Vec<(&'static str, SchemaId)>,
    patterns: Vec<(&'static str, &'static str)>,
}

static ISTIO: LazyLock<Definitions> = LazyLock::new(|| read(include_str!("istio.schema")));
static GATEWAY_API: LazyLock<Definitions> = LazyLock::new(|| read(include_str!("gateway_api.schema")));

fn read(text: &'static str) -> Definitions {
    Definitions::parse(text).expect("the definitions that come with the program can be read; a test reads them")
}

/// The schema of a kind, if it is the custom resource of a group that is known.
pub(super) fn of(kind: &str, group: &str) -> Option<(&'static Definitions, KindSchema)> {
    let definitions = match group {
        "gateway.networking.k8s.io" => &*GATEWAY_API,
        _ if group.ends_with(".istio.io") => &*ISTIO,
        _ => return None,
    };
    let found = definitions.kinds.iter().find(|known| known.kind == kind && known.group == group)?;
    Some((definitions, *found))
}

impl Definitions {
    /// The schema with this place.
    pub(super) fn get(&self, id: SchemaId) -> &Schema {
        &self.schemas[id.0]
    }

    fn parse(text: &'static str) -> Result<Self, String> {
        let mut definitions = Definitions::default();
        // The schemas that the next line may belong to, outermost first.
        let mut open: Vec<SchemaId> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            definitions.line(line, &mut open).map_err(|why| format!("{why}: {line}"))?;
        }
        Ok(definitions)
    }

    fn line(&mut self, line: &'static str, open: &mut Vec<SchemaId>) -> Result<(), String> {
        let depth = line.len() - line.trim_start().len();
        let (word, rest) = line.trim_start().split_once(' ').ok_or("a line has a name and a type")?;
        match (depth, word) {
            (0, "pattern") => {
                let (name, pattern) = rest.split_once(' ').ok_or("a pattern has a name")?;
                self.patterns.push((name, pattern));
            }
            (0, "define") => {
                let (name, rest) = rest.split_once(' ').ok_or("a definition has a type")?;
                let id = self.schema(rest)?;
                self.names.push((name, id));
                *open = vec![id];
            }
            (0, "kind") => {
                let mut words = rest.splitn(3, ' ');
                let (Some(group), Some(kind), Some(rest)) = (words.next(), words.next(), words.next()) else {
                    return Err("a kind has a group, a name and a type".to_owned());
                };
                let spec = self.schema(rest)?;
                let (kind, spec_required) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
                self.kinds.push(KindSchema { group, kind, spec_required, spec });
                *open = vec![spec];
            }
            _ => {
                open.truncate(depth);
                let parent = *open.last().filter(|_| open.len() == depth).ok_or("nothing to belong to")?;
                let id = match rest.strip_prefix('@') {
                    Some(name) => self.named(name)?,
                    None => self.schema(rest)?,
                };
                self.attach(parent, word, id)?;
                open.push(id);
            }
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Result<SchemaId, String> {
        let found = self.names.iter().find(|(known, _)| *known == name);
        found.map(|(_, id)| *id).ok_or_else(|| format!("{name} is not defined above"))
    }

    fn attach(&mut self, parent: SchemaId, word: &'static str, id: SchemaId) -> Result<(), String> {
        match (&mut self.schemas[parent.0].shape, word) {
            (Shape::List(item), "-") | (Shape::Map(item), "*") => *item = id,
            (Shape::Object { fields, .. }, _) => {
                let (name, required) = word.strip_suffix('!').map_or((word, false), |name| (name, true));
                fields.push(Field { name, required, schema: id });
            }
            _ => return Err("the parent has no such part".to_owned()),
        }
        Ok(())
    }

    fn add(&mut self, schema: Schema) -> SchemaId {
        self.schemas.push(schema);
        SchemaId(self.schemas.len() - 1)
    }

    /// Reads `type | rule | rule`. Entries of lists and mappings follow on lines of their own, if not
    /// in brackets.
    fn schema(&mut self, text: &'static str) -> Result<SchemaId, String> {
        // A regular expression comes last, because it may hold bars.
        let (text, pattern) = text.split_once(" | ~ ").map_or((text, None), |(text, pattern)| (text, Some(pattern)));
        let mut parts = text.split(" | ");
        let shape = self.shape(parts.next().unwrap_or_default())?;
        let mut schema = Schema { shape, ..Schema::default() };
        for part in parts {
            match part {
                "nullable" => schema.nullable = true,
                _ => schema.rules.push(rule(part)?),
            }
        }
        if let Some(pattern) = pattern {
            let known = pattern.strip_prefix('@').map(|name| {
                self.patterns.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("no pattern is called {name}"))
            });
            let (name, pattern) = known.transpose()?.copied().unwrap_or(("", pattern));
            let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
            schema.rules.push(Rule::Pattern(Box::new(regex), name));
        }
        Ok(self.add(schema))
    }

    fn shape(&mut self, word: &'static str) -> Result<Shape, String> {
        if let Some(item) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            let item = self.schema(item)?;
            return Ok(Shape::List(item));
        }
        if let Some(value) = word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            let value = self.schema(value)?;
            return Ok(Shape::Map(value));
        }
        Ok(match word {
            "any" => Shape::Any,
            "object" => Shape::Object { fields: Vec::new(), open: false },
            "open" => Shape::Object { fields: Vec::new(), open: true },
            // Replaced by the line of the entries.
            "list" => Shape::List(SchemaId(0)),
            "map" => Shape::Map(SchemaId(0)),
            "string" => Shape::Text,
            "duration" => Shape::Duration,
            "bytes" => Shape::Bytes,
            "bool" => Shape::Bool,
            "number" => Shape::Number,
            "int-or-string" => Shape::WholeOrText,
            "i32" => Shape::Whole(i64::from(i32::MIN), i64::from(i32::MAX)),
            "u32" => Shape::Whole(0, i64::from(u32::MAX)),
            "i64" => Shape::Whole(i64::MIN, i64::MAX),
            "u64" => Shape::Whole(0, i64::MAX),
            _ => return Err(format!("{word} is no type")),
        })
    }
}

fn rule(text: &'static str) -> Result<Rule, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let words = || rest.split(' ').collect::<Vec<_>>();
    Ok(match word {
        "=" => Rule::Words(words().into_iter().map(|word| if word == "\"\"" { "" } else { word }).collect()),
        "in" => {
            let (low, high) = bounds(rest)?;
            Rule::In(low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY))
        }
        "len" => {
            let (low, high) = bounds(rest)?;
            Rule::Length(low.unwrap_or(0), high.unwrap_or(usize::MAX))
        }
        "items" => {
            let (low, high) = bounds(rest)?;
            Rule::Items(low.unwrap_or(0), high.unwrap_or(usize::MAX))
        }
        "at-most-one" => Rule::AtMostOne(words()),
        "set" => Rule::Set,
        "unique" => Rule::Unique(words()),
        "holds" => Rule::Holds(relations::named(rest).ok_or_else(|| format!("no relation is called {rest}"))?),
        _ => return Err(format!("{word} is no rule")),
    })
}

fn bounds<T: std::str::FromStr>(text: &str) -> Result<(Option<T>, Option<T>), String> {
    let (low, high) = text.split_once("..").ok_or("bounds are written low..high")?;
    let bound = |text: &str| match text {
        "" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| format!("{text} is no bound")),
    };
    Ok((bound(low)?, bound(high)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_can_be_read() {
        for text in [include_str!("istio.schema"), include_str!("gateway_api.schema")] {
            let definitions = Definitions::parse(text).unwrap();
            assert!(definitions.kinds.len() >= 9, "{}", definitions.kinds.len());
        }
        let (_, virtual_service) = of("VirtualService", "networking.istio.io").unwrap();
        assert!(!virtual_service.spec_required);
        assert!(of("VirtualService", "example.com").is_none());
    }

    #[test]
    fn lines_that_make_no_sense_are_refused() {
        for text in [
            "kind a.b C thing",
            "kind a.b C object\n  deep string",
            "kind a.b C object\n a @Unknown",
            "kind a.b C object\n a string | loud",
            "kind a.b C object\n a string | holds nothing",
            "kind a.b C object\n a string | len 1-2",
            "kind a.b C object\n a string | ~ (",
            "kind a.b C string\n a string",
        ] {
            assert!(Definitions::parse(text).is_err(), "{text}");
        }
    }
}
