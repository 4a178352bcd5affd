//! The workshop: numbers for dimensions and languages, and the questions that sets of requests
//! answer.

use indexmap::IndexSet;
use rustc_hash::FxHashMap;

use super::automaton::{self, Automaton, Search};
use super::cell::{Ask, Cell, Conjunction, DimensionId, LanguageId, Literal, Part, Values};
use super::dimension::{Arity, Dimension, Domain};
use super::language::Language;

/// Cells that one question may look at.
const CELLS_MAX: u32 = 20_000;

/// Languages that one product of automata may have.
const FACTORS_MAX: usize = 12;

/// The answer to a question about a set of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing is in it: a proof.
    Empty,
    /// These values are in it.
    Values(Values),
    /// It is not known, because of this.
    Undecided(String),
}

/// What is known about one part of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Feasible {
    /// It can be met, by these values.
    Yes(Vec<String>),
    No,
    Unknown(&'static str),
}

const TOO_BIG: &str = "a regular expression needs too big an automaton";
const TOO_MANY: &str = "too many conditions meet in one place";
const NO_VALUE: &str = "only texts that are normalised on arrival might do";

/// What sets of requests are made of. Sets of one space are compared with each other; what is asked
/// twice is worked out once.
#[derive(Default)]
pub struct Space {
    dimensions: IndexSet<Dimension>,
    languages: Vec<Language>,
    by_key: FxHashMap<String, LanguageId>,
    automata: FxHashMap<LanguageId, Option<Automaton>>,
    domains: FxHashMap<Domain, Option<Automaton>>,
    known: FxHashMap<(Domain, Arity, Part), Feasible>,
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("dimensions", &self.dimensions).field("languages", &self.languages).finish_non_exhaustive()
    }
}

impl Space {
    /// An empty space.
    #[must_use]
    pub fn new() -> Self {
        Space::default()
    }

    /// A condition on a dimension.
    pub(super) fn literal(&mut self, dimension: Dimension, ask: Ask) -> Literal {
        Literal { dimension: self.dimension(dimension), ask }
    }

    fn dimension(&mut self, dimension: Dimension) -> DimensionId {
        let (index, _) = self.dimensions.insert_full(dimension);
        DimensionId(u32::try_from(index).expect("fewer than 2^32 dimensions"))
    }

    /// The dimension that a literal is about.
    #[must_use]
    pub fn dimension_of(&self, literal: Literal) -> &Dimension {
        &self.dimensions[literal.dimension.0 as usize]
    }

    pub(super) fn language(&mut self, language: Language) -> LanguageId {
        let next = LanguageId(u32::try_from(self.languages.len()).expect("fewer than 2^32 languages"));
        let id = *self.by_key.entry(language.key()).or_insert(next);
        if id == next {
            self.languages.push(language);
        }
        id
    }

    /// A request that meets all of `within` and none of `outside`, the values that decide it as plain
    /// as possible; or the proof that there is none. The order of `outside` does not matter to the
    /// answer, only to how soon it is found.
    pub fn find(&mut self, within: &[&Conjunction], outside: &[&Conjunction]) -> Found {
        match self.cell_of(within) {
            Some(cell) => self.find_in(&cell, outside),
            None => Found::Empty,
        }
    }

    /// The same within a cell.
    pub fn find_in(&mut self, cell: &Cell, outside: &[&Conjunction]) -> Found {
        if self.is_empty(cell) == Some(true) {
            return Found::Empty;
        }
        let mut search = Dive { outside, budget: CELLS_MAX, unknown: None };
        let found = search.dive(self, cell.clone(), 0);
        match (found, search.unknown) {
            (Some(values), _) => Found::Values(values),
            (None, Some(why)) => Found::Undecided(why.to_owned()),
            (None, None) => Found::Empty,
        }
    }

    /// The normal form of conditions that must hold together; `None` if it is seen at once that
    /// nothing meets them.
    pub fn cell_of(&mut self, within: &[&Conjunction]) -> Option<Cell> {
        let mut cell = Cell::default();
        for conjunction in within {
            if conjunction.never {
                return None;
            }
            conjunction.literals.iter().for_each(|literal| cell.add(*literal));
        }
        Some(cell)
    }

    /// What is left of a cell without a conjunction, as disjoint cells. Those of which it is known
    /// that they are empty are left out.
    pub fn subtract(&mut self, cell: &Cell, without: &Conjunction) -> Vec<Cell> {
        if without.never || self.is_apart(cell, without) {
            return vec![cell.clone()];
        }
        let (mut rest, mut left) = (cell.clone(), Vec::new());
        for literal in self.by_ease(&without.literals) {
            let mut outside = rest.clone();
            outside.add(!literal);
            if !matches!(self.feasible(&outside, literal.dimension), Feasible::No) {
                left.push(outside);
            }
            rest.add(literal);
        }
        left
    }

    /// Cells in common with a conjunction; `None` if it is known that there is nothing in common.
    pub fn intersect(&mut self, cell: &Cell, with: &Conjunction) -> Option<Cell> {
        if with.never || self.is_apart(cell, with) {
            return None;
        }
        let mut common = cell.clone();
        with.literals.iter().for_each(|literal| common.add(*literal));
        Some(common)
    }

    /// Whether a cell is empty: `Some(true)` and `Some(false)` are proofs.
    pub fn is_empty(&mut self, cell: &Cell) -> Option<bool> {
        let dimensions: Vec<DimensionId> = cell.parts().map(|(dimension, _)| dimension).collect();
        let mut known = Some(false);
        for dimension in dimensions {
            match self.feasible(cell, dimension) {
                Feasible::No => return Some(true),
                Feasible::Unknown(_) => known = None,
                Feasible::Yes(_) => {}
            }
        }
        known
    }

    /// Whether a cell and a conjunction have nothing in common, as far as that is known.
    fn is_apart(&mut self, cell: &Cell, other: &Conjunction) -> bool {
        let mut common = cell.clone();
        other.literals.iter().for_each(|literal| common.add(*literal));
        other.literals.iter().any(|literal| matches!(self.feasible(&common, literal.dimension), Feasible::No))
    }

    /// Literals in the order in which a request without them is easiest to write: headers that are
    /// left out come before paths.
    fn by_ease(&self, literals: &[Literal]) -> Vec<Literal> {
        let rank = |literal: &Literal| match self.dimension_of(*literal) {
            Dimension::Header(_) | Dimension::Query(_) | Dimension::Claim(_) | Dimension::Opaque(_) => 0,
            Dimension::ForwardedProto => 1,
            Dimension::Path => 2,
            Dimension::Method => 3,
            Dimension::Authority => 4,
        };
        let mut sorted = literals.to_vec();
        sorted.sort_by_key(rank);
        sorted
    }

    /// The values of a cell.
    fn values(&mut self, cell: &Cell) -> Result<Values, Option<&'static str>> {
        let mut values = Vec::new();
        let dimensions: Vec<DimensionId> = cell.parts().map(|(dimension, _)| dimension).collect();
        for dimension in dimensions {
            match self.feasible(cell, dimension) {
                Feasible::Yes(lines) => values.push((self.dimensions[dimension.0 as usize].clone(), lines)),
                Feasible::No => return Err(None),
                Feasible::Unknown(why) => return Err(Some(why)),
            }
        }
        Ok(Values(values))
    }

    fn feasible(&mut self, cell: &Cell, dimension: DimensionId) -> Feasible {
        let own = &self.dimensions[dimension.0 as usize];
        let (arity, domain) = (own.arity(), own.domain());
        let Some(part) = cell.part(dimension) else { return Feasible::Yes(Vec::new()) };
        if part.is_impossible(arity) {
            return Feasible::No;
        }
        let key = (domain, arity, part.clone());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let answer = self.meet(domain, arity, &key.2);
        self.known.insert(key, answer.clone());
        answer
    }

    fn meet(&mut self, domain: Domain, arity: Arity, part: &Part) -> Feasible {
        if part.some.is_empty() && part.presence != Some(true) && arity != Arity::One {
            return Feasible::Yes(Vec::new());
        }
        if arity != Arity::Many || part.some.is_empty() {
            return self.pick(domain, &part.some, &part.none);
        }
        let mut lines: Vec<String> = Vec::new();
        for language in &part.some {
            if lines.iter().any(|line| self.languages[language.0 as usize].contains(line)) {
                continue;
            }
            match self.pick(domain, std::slice::from_ref(language), &part.none) {
                Feasible::Yes(mut line) => lines.append(&mut line),
                other => return other,
            }
        }
        Feasible::Yes(lines)
    }

    /// One value that is in all of `some` and in none of `none`. Likely values are tried first;
    /// automata decide the rest.
    fn pick(&mut self, domain: Domain, some: &[LanguageId], none: &[LanguageId]) -> Feasible {
        let languages = |ids: &[LanguageId]| -> Vec<&Language> { ids.iter().map(|id| &self.languages[id.0 as usize]).collect() };
        let (wanted, unwanted) = (languages(some), languages(none));
        let fits = |value: &str| {
            domain.admits(value)
                && wanted.iter().all(|language| language.contains(value))
                && !unwanted.iter().any(|language| language.contains(value))
        };
        if let Some(only) = wanted.iter().find_map(|language| language.only()).filter(|only| domain.admits(only)) {
            return if fits(only) { Feasible::Yes(vec![only.to_owned()]) } else { Feasible::No };
        }
        let favourites = domain.favourites().iter().map(|value| (*value).to_owned());
        let samples = wanted.iter().flat_map(|language| language.samples());
        let outside =
            || unwanted.iter().flat_map(|language| language.samples()).flat_map(|s| [format!("{s}a"), format!("{s}/a")]);
        if let Some(value) = samples.chain(favourites).find(|value| fits(value)) {
            return Feasible::Yes(vec![value]);
        }
        if wanted.is_empty()
            && let Some(value) = outside().take(50).find(|value| fits(value))
        {
            return Feasible::Yes(vec![value]);
        }
        if unwanted.iter().any(|language| language.is_everything()) {
            return Feasible::No;
        }
        self.search(domain, some, none)
    }

    fn search(&mut self, domain: Domain, some: &[LanguageId], none: &[LanguageId]) -> Feasible {
        let none = self.relevant(some, none);
        if some.len() + none.len() > FACTORS_MAX {
            return Feasible::Unknown(TOO_MANY);
        }
        self.domains.entry(domain).or_insert_with(|| Automaton::new(&domain.syntax()));
        for id in some.iter().chain(&none) {
            let language = &self.languages[id.0 as usize];
            self.automata.entry(*id).or_insert_with(|| Automaton::new(&language.syntax()));
        }
        let automata =
            |ids: &[LanguageId]| -> Option<Vec<&Automaton>> { ids.iter().map(|id| self.automata[id].as_ref()).collect() };
        let (Some(mut yes), Some(no), Some(all)) = (automata(some), automata(&none), self.domains[&domain].as_ref()) else {
            return Feasible::Unknown(TOO_BIG);
        };
        yes.insert(0, all);
        match automaton::search(&yes, &no, |value| domain.admits(value)) {
            Search::Found(value) => Feasible::Yes(vec![value]),
            Search::Empty => Feasible::No,
            Search::GivenUp => Feasible::Unknown(NO_VALUE),
        }
    }

    /// The unwanted languages that can take something from the wanted ones, seen from texts alone: an
    /// exact text outside of a wanted language takes nothing.
    fn relevant(&self, some: &[LanguageId], none: &[LanguageId]) -> Vec<LanguageId> {
        let wanted: Vec<&Language> = some.iter().map(|id| &self.languages[id.0 as usize]).collect();
        let takes = |id: &&LanguageId| match self.languages[id.0 as usize].only() {
            Some(only) => wanted.iter().all(|language| language.contains(only)),
            None => true,
        };
        none.iter().filter(takes).copied().collect()
    }
}

/// A search through the cells that are left when conjunctions are taken away one by one.
struct Dive<'o> {
    outside: &'o [&'o Conjunction],
    budget: u32,
    /// Why something could not be decided.
    unknown: Option<&'static str>,
}

impl Dive<'_> {
    fn dive(&mut self, space: &mut Space, cell: Cell, from: usize) -> Option<Values> {
        let Some(left) = self.budget.checked_sub(1) else {
            self.unknown = Some(TOO_MANY);
            return None;
        };
        self.budget = left;
        for (at, without) in self.outside.iter().enumerate().skip(from) {
            if without.never || space.is_apart(&cell, without) {
                continue;
            }
            return space.subtract(&cell, without).into_iter().find_map(|rest| self.dive(space, rest, at + 1));
        }
        match space.values(&cell) {
            Ok(values) => Some(values),
            Err(why) => {
                self.unknown = self.unknown.or(why);
                None
            }
        }
    }
}
