//! Settings that may be shared or belong to one environment, and how one lies over the other.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use super::fault::Wrong;
use super::node::{Node, listed};
use super::reader::{Fields, Reader, nearest};
use super::settled::Strategy;
use super::strategy::{USUAL, strategy, switch};
use super::table::{FILE, Need, Place, Shape};
use super::variable::Text;
use crate::model::{Deadlines, Hold, OnDeadline, Share, Span, StrategyName};

/// What a file says about something that no default can stand in for.
#[derive(Debug, Clone, Default)]
pub(super) enum Said<T> {
    /// Nothing.
    #[default]
    Nothing,
    /// Something that could not be read, and was refused: not missing.
    Broken,
    /// This, at this place.
    Is(T, Range<usize>),
}

impl<T> Said<T> {
    pub fn new(fields: &Fields<'_>, name: &str, read: impl FnOnce(&Node) -> Option<T>) -> Self {
        match fields.value(name) {
            None if fields.names(name) => Self::Broken,
            None => Self::Nothing,
            Some(node) => read(node).map_or(Self::Broken, |value| Self::Is(value, node.at.clone())),
        }
    }

    fn or(self, below: Self) -> Self {
        if matches!(self, Self::Nothing) { below } else { self }
    }
}

/// A file may leave everything open in either place.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub revision: Said<Text>,
    strategy: Said<StrategyName>,
    /// `None` is one that could not be read: its name is taken all the same.
    strategies: BTreeMap<StrategyName, Option<Strategy>>,
    pub instances: Option<u32>,
    settle: Option<Span>,
    bake: Option<Hold>,
    quiet: Option<Span>,
    min_healthy: Option<Share>,
    freeze: Option<bool>,
    deadlines: BTreeMap<&'static str, Span>,
    then: Option<OnDeadline>,
}

impl Layer {
    pub fn read(fields: &Fields<'_>) -> Self {
        let deadlines = fields.place("deadlines");
        Self {
            revision: Said::new(fields, "revision", |node| fields.reader.revision(node)),
            strategy: Said::new(fields, "strategy", |node| fields.reader.name(node)),
            strategies: strategies(fields),
            instances: fields.count_u32("instances"),
            settle: fields.span("settle"),
            bake: fields.hold("bake"),
            quiet: fields.span("quiet"),
            min_healthy: fields.count("min_healthy").and_then(|percent| Share::new(percent).ok()),
            freeze: fields.flag("freeze"),
            deadlines: deadlines.as_ref().map(spans).unwrap_or_default(),
            then: deadlines.as_ref().and_then(|fields| fields.choice("then")).map(|word| match word {
                "hold" => OnDeadline::Hold,
                _ => OnDeadline::Rollback,
            }),
        }
    }

    /// Whether it defines a strategy of its own.
    pub fn has_strategies(&self) -> bool {
        !self.strategies.is_empty()
    }

    /// This layer over another: what it says wins, what it leaves open stays.
    pub fn over(&self, below: &Self) -> Self {
        let (mut top, below) = (self.clone(), below.clone());
        let mut strategies = below.strategies;
        strategies.append(&mut top.strategies);
        let mut deadlines = below.deadlines;
        deadlines.append(&mut top.deadlines);
        Self {
            revision: top.revision.or(below.revision),
            strategy: top.strategy.or(below.strategy),
            strategies,
            instances: top.instances.or(below.instances),
            settle: top.settle.or(below.settle),
            bake: top.bake.or(below.bake),
            quiet: top.quiet.or(below.quiet),
            min_healthy: top.min_healthy.or(below.min_healthy),
            freeze: top.freeze.or(below.freeze),
            deadlines,
            then: top.then.or(below.then),
        }
    }

    /// The strategies, and the one to take: the asked one, the file's usual one, or the only one.
    pub fn choose(
        &self,
        asked: Option<&StrategyName>,
        at: &Range<usize>,
        reader: &Reader,
    ) -> Option<(StrategyName, BTreeMap<StrategyName, Strategy>)> {
        let mut defined = self.strategies.clone();
        if let (true, Ok(usual)) = (defined.is_empty(), StrategyName::new(USUAL)) {
            defined.insert(usual, Some(switch()));
        }
        let names = || defined.keys().map(StrategyName::as_str);
        let usual = match &self.strategy {
            Said::Is(name, _) if defined.contains_key(name) => Ok(name),
            Said::Is(name, at) => Err(undefined("strategy", name.as_str(), names(), at)),
            Said::Broken => return None,
            Said::Nothing if defined.len() == 1 => Ok(defined.keys().next()?),
            Said::Nothing => {
                let wrong = Wrong::new(at.clone(), "`strategy` is missing here");
                Err(wrong.hint(format!("name the usual one of {}", listed(names()))))
            }
        };
        let chosen = match (usual, asked) {
            (Ok(_), Some(name)) if !defined.contains_key(name) => {
                Err(undefined("strategy", name.as_str(), names(), at))
            }
            (Ok(usual), asked) => Ok(asked.unwrap_or(usual).clone()),
            (Err(wrong), _) => Err(wrong),
        };
        let chosen = reader.keep(chosen)?;
        let whole = defined.into_iter().map(|(name, strategy)| Some((name, strategy?)));
        Some((chosen, whole.collect::<Option<_>>()?))
    }

    pub fn settle(&self) -> Span {
        self.settle.unwrap_or_else(|| usual(&FILE, "settle"))
    }

    pub fn bake(&self) -> Hold {
        self.bake.unwrap_or_else(|| Hold::For(usual(&FILE, "bake")))
    }

    pub fn quiet(&self) -> Span {
        self.quiet.unwrap_or_else(|| usual(&FILE, "quiet"))
    }

    pub fn min_healthy(&self) -> Share {
        self.min_healthy.unwrap_or_else(|| Share::new(usual(&FILE, "min_healthy")).unwrap_or(Share::ALL))
    }

    pub fn freeze(&self) -> bool {
        self.freeze.unwrap_or_else(|| usual(&FILE, "freeze"))
    }

    pub fn deadlines(&self) -> Deadlines {
        let place = match FILE.key("deadlines").map(|key| key.shape) {
            Some(Shape::Place(place)) => place,
            _ => &FILE,
        };
        let span = |name| self.deadlines.get(name).copied().unwrap_or_else(|| usual(place, name));
        Deadlines {
            provision: span("provision"),
            register: span("register"),
            settle: span("settle"),
            shift: span("shift"),
            drain: span("drain"),
            retire: span("retire"),
            hold: span("hold"),
            restore: span("restore"),
            withdraw: span("withdraw"),
            then: self.then.unwrap_or(OnDeadline::Rollback),
        }
    }
}

fn strategies(fields: &Fields<'_>) -> BTreeMap<StrategyName, Option<Strategy>> {
    let mut strategies = BTreeMap::new();
    for (key, inside) in fields.named("strategies").unwrap_or_default() {
        if let Some(name) = fields.reader.name(key) {
            strategies.insert(name, inside.as_ref().and_then(strategy));
        }
    }
    strategies
}

fn spans(fields: &Fields<'_>) -> BTreeMap<&'static str, Span> {
    const PHASES: [&str; 9] =
        ["provision", "register", "settle", "shift", "drain", "retire", "hold", "restore", "withdraw"];
    PHASES.iter().filter_map(|name| Some((*name, fields.span(name)?))).collect()
}

/// What the table says is taken where a key is not given.
pub(super) fn usual<T: FromStr>(place: &'static Place, name: &str) -> T {
    let text = match place.key(name).map(|key| key.need) {
        Some(Need::Default(text)) => text.parse().ok(),
        _ => None,
    };
    text.expect("the table has a readable default for every key that is asked for one: a test reads them all")
}

/// A name that stands for nothing in the file.
pub(super) fn undefined<'a>(
    what: &str,
    name: &str,
    defined: impl Iterator<Item = &'a str> + Clone,
    at: &Range<usize>,
) -> Wrong {
    let near = nearest(name, defined.clone()).map(|near| format!("did you mean `{near}`? "));
    let wrong = Wrong::new(at.clone(), format!("no {what} `{name}` is defined"));
    wrong.hint(format!("{}defined: {}", near.unwrap_or_default(), listed(defined)))
}
