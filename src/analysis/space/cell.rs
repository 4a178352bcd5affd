//! Conjunctions of conditions: as they are written, and in a normal form with one part for each
//! dimension.

use super::dimension::{Arity, Dimension};

/// A dimension, by its number in one [`Space`](super::Space).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DimensionId(pub(super) u32);

/// A set of texts, by its number in one [`Space`](super::Space).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LanguageId(pub(super) u32);

/// What a literal asks of the values in a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// Some value is one of these.
    Some(LanguageId),
    /// No value is one of these; there may be none at all.
    None(LanguageId),
    /// There is a value.
    Present,
    /// There is none.
    Absent,
}

/// One condition on one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Literal {
    /// Where it looks.
    pub dimension: DimensionId,
    /// What it asks.
    pub ask: Ask,
}

impl std::ops::Not for Literal {
    type Output = Literal;

    fn not(self) -> Literal {
        let ask = match self.ask {
            Ask::Some(language) => Ask::None(language),
            Ask::None(language) => Ask::Some(language),
            Ask::Present => Ask::Absent,
            Ask::Absent => Ask::Present,
        };
        Literal { ask, ..self }
    }
}

/// Conditions that must hold together, as a route or a virtual host has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Conjunction {
    /// The conditions; none of them is always true.
    pub literals: Vec<Literal>,
    /// Whether a condition that no request meets is among them.
    pub never: bool,
}

impl Conjunction {
    /// Every request.
    #[must_use]
    pub fn everything() -> Self {
        Conjunction::default()
    }

    /// No request.
    #[must_use]
    pub fn nothing() -> Self {
        Conjunction { literals: Vec::new(), never: true }
    }

    /// Requests that meet both.
    #[must_use]
    pub fn and(&self, other: &Conjunction) -> Self {
        let mut literals = self.literals.clone();
        literals.extend(other.literals.iter().filter(|literal| !self.literals.contains(literal)));
        Conjunction { literals, never: self.never || other.never }
    }
}

/// What a cell asks of one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Part {
    /// For each of these a value is in it. Sorted.
    pub(super) some: Vec<LanguageId>,
    /// No value is in any of these. Sorted.
    pub(super) none: Vec<LanguageId>,
    /// Whether there must or must not be a value.
    pub(super) presence: Option<bool>,
    /// Whether it asks for a value and for none.
    pub(super) contradicts_itself: bool,
}

impl Part {
    fn add(&mut self, ask: Ask) {
        let insert = |list: &mut Vec<LanguageId>, language| {
            if let Err(at) = list.binary_search(&language) {
                list.insert(at, language);
            }
        };
        match ask {
            Ask::Some(language) => {
                insert(&mut self.some, language);
                self.require(true);
            }
            Ask::None(language) => insert(&mut self.none, language),
            Ask::Present => self.require(true),
            Ask::Absent => self.require(false),
        }
    }

    fn require(&mut self, presence: bool) {
        self.contradicts_itself |= self.presence.is_some_and(|own| own != presence);
        self.presence = Some(presence);
    }

    /// Whether no values meet it, as far as that can be seen without looking into languages.
    pub(super) fn is_impossible(&self, arity: Arity) -> bool {
        let taken = self.some.iter().any(|language| self.none.binary_search(language).is_ok());
        self.contradicts_itself || taken || (arity == Arity::One && self.presence == Some(false))
    }
}

/// A set of requests in normal form: one part for each dimension, which are independent of each
/// other. It is empty exactly if one of its parts is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Cell {
    parts: Vec<(DimensionId, Part)>,
}

impl Cell {
    pub(super) fn part(&self, dimension: DimensionId) -> Option<&Part> {
        let at = self.parts.binary_search_by_key(&dimension, |(own, _)| *own).ok()?;
        Some(&self.parts[at].1)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (DimensionId, &Part)> {
        self.parts.iter().map(|(dimension, part)| (*dimension, part))
    }

    pub(super) fn add(&mut self, literal: Literal) {
        let at = match self.parts.binary_search_by_key(&literal.dimension, |(own, _)| *own) {
            Ok(at) => at,
            Err(at) => {
                self.parts.insert(at, (literal.dimension, Part::default()));
                at
            }
        };
        self.parts[at].1.add(literal.ask);
    }
}

/// The values of one request, by dimension. A dimension that is absent is free: nothing was asked of
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values(pub Vec<(Dimension, Vec<String>)>);

impl Values {
    /// The first value in a dimension.
    #[must_use]
    pub fn first(&self, dimension: &Dimension) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == dimension).and_then(|(_, values)| values.first()).map(String::as_str)
    }
}
