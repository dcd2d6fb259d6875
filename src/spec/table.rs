//! Every key that a deployment file may hold, once: the reader, its "did you mean" and the schema are made from here.

use crate::model::Span;

/// A mapping with known keys.
#[derive(Debug)]
pub(super) struct Place {
    pub doc: &'static str,
    /// Sets of keys; the shared settings stand in two places.
    pub keys: &'static [&'static [Key]],
    /// Exactly one of these sets of keys must be given in full. Empty where there is no such choice.
    pub either: &'static [&'static [&'static str]],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub doc: &'static str,
    pub shape: Shape,
    pub need: Need,
}

/// What happens where a key is not given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need {
    /// The file is refused.
    Required,
    /// This is taken, as it would be written.
    Default(&'static str),
    /// The doc line says what happens.
    Optional,
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// A name that becomes part of paths and of resource names.
    Slug,
    /// A revision; may hold variables.
    Revision,
    /// A length of time, not shorter.
    Span { least: Span },
    /// A length of time, or the word `promote`.
    Hold,
    /// A whole number in a range.
    Count { least: u64, most: u64 },
    /// `true` or `false`.
    Flag,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// The path of a URL.
    Path,
    /// Where a journal is kept.
    Store,
    /// An address and a port.
    Address,
    /// The number of an account: exactly this many digits.
    Digits(usize),
    /// A name that a cloud gave to something: visible, on one line.
    Label,
    /// Two different names.
    Pair,
    /// A list of words; may hold variables.
    Words,
    /// Environment variables; the values may hold variables.
    Env,
    /// The steps of a shift: numbers, or mappings of this place.
    Steps(&'static Place),
    /// A mapping with known keys.
    Place(&'static Place),
    /// Mappings of one kind, each under a name of its own.
    Named { place: &'static Place, names: Names, least: usize, most: usize },
}

/// What the names in a [`Shape::Named`] look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// `a-z`, `0-9` and `-`.
    Slug,
    /// Anything visible.
    Label,
}

impl Place {
    /// Every key, in the order of the documentation.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + Clone {
        self.keys.iter().flat_map(|set| set.iter())
    }

    /// The key of a name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// Words or variables beyond this are a mistake.
pub(super) const WORDS_MAX: usize = 1_000;
/// An address of a store beyond this is a mistake.
pub(super) const STORE_MAX: usize = 1_000;
/// Steps beyond this cannot rise.
pub(super) const STEPS_MAX: usize = 100;

pub(super) const fn key(name: &'static str, shape: Shape, need: Need, doc: &'static str) -> Key {
    Key { name, doc, shape, need }
}

const SECOND: Span = Span::secs(1);
const MOMENT: Span = Span(10);
const AT_ONCE: Span = Span::ZERO;

/// The whole file.
pub(super) static FILE: Place = Place {
    doc: "A deployment of one service: how its traffic moves from blue to green, and where it runs.",
    keys: &[&TOP, &SETTINGS],
    either: &[],
};

static TOP: [Key; 4] = [
    key("service", Shape::Slug, Need::Required, "The service: what is deployed as one."),
    key(
        "environment",
        Shape::Slug,
        Need::Optional,
        "The environment that is taken where none is asked for. May be left out where there is only one.",
    ),
    key(
        "store",
        Shape::Store,
        Need::Optional,
        "Where the journal is kept where no `--store` is given: `file:DIR`, `s3://BUCKET/PREFIX` or `oss://BUCKET/PREFIX`.",
    ),
    key(
        "environments",
        Shape::Named { place: &ENVIRONMENT, names: Names::Slug, least: 1, most: 100 },
        Need::Required,
        "Where the service runs. An environment may override every shared setting: `deadlines` key by key, `strategies` name by name.",
    ),
];

/// What may stand at the top for all environments, and in each environment for itself.
static SETTINGS: [Key; 10] = [
    key(
        "revision",
        Shape::Revision,
        Need::Optional,
        "What a rollout without `--revision` deploys: a version, an image, a template version. Needed here or in the environment. May hold `${NAME}`.",
    ),
    key(
        "strategy",
        Shape::Slug,
        Need::Optional,
        "The strategy that is taken where none is asked for. May be left out where there is only one.",
    ),
    key(
        "strategies",
        Shape::Named { place: &STRATEGY, names: Names::Slug, least: 1, most: 100 },
        Need::Optional,
        "Named ways to shift the traffic. Where none is given there is one, `bluegreen`, which shifts everything at once.",
    ),
    key(
        "instances",
        Shape::Count { least: 1, most: 1_000 },
        Need::Optional,
        "How many instances green gets; as many as blue has where it is not given.",
    ),
    key(
        "settle",
        Shape::Span { least: AT_ONCE },
        Need::Default("10s"),
        "How long green must stay healthy before it takes traffic.",
    ),
    key(
        "bake",
        Shape::Hold,
        Need::Default("5m"),
        "How long green carries everything before blue is drained: a time, or `promote` to wait for an order.",
    ),
    key(
        "quiet",
        Shape::Span { least: AT_ONCE },
        Need::Default("5m"),
        "How long blue is kept running after it was drained, in case somebody still needs it.",
    ),
    key(
        "min_healthy",
        Shape::Count { least: 0, most: 100 },
        Need::Default("100"),
        "How much of green must be healthy in each target group, in percent of its size. At least one target in any case.",
    ),
    key(
        "freeze",
        Shape::Flag,
        Need::Default("true"),
        "Whether the scaling of both fleets is held still during a rollout.",
    ),
    key(
        "deadlines",
        Shape::Place(&DEADLINES),
        Need::Optional,
        "How long each phase may go without progress.",
    ),
];

static DEADLINES: Place = Place {
    doc: "How long each phase may go without progress. Progress moves a deadline, attempts do not.",
    keys: &[&[
        deadline("provision", "10m", "Until green's instances run."),
        deadline("register", "2m", "Until green stands in every target group."),
        deadline("settle", "5m", "Until green is healthy in every target group."),
        deadline("shift", "5m", "Until the share of a step is seen."),
        deadline("drain", "15m", "Until blue has left every target group."),
        deadline("retire", "5m", "Until blue is gone."),
        deadline("hold", "1h", "Until gaps are closed, or a promotion is given."),
        deadline("restore", "10m", "Until blue carries everything again."),
        deadline("withdraw", "10m", "Until green is gone."),
        key(
            "then",
            Shape::Choice(&["rollback", "hold"]),
            Need::Default("rollback"),
            "What a missed deadline leads to until green carries everything: `rollback` brings the traffic back to blue, `hold` leaves both fleets as they are. From then on both stay in any case.",
        ),
    ]],
    either: &[],
};

const fn deadline(name: &'static str, usual: &'static str, doc: &'static str) -> Key {
    key(name, Shape::Span { least: SECOND }, Need::Default(usual), doc)
}

static STRATEGY: Place = Place {
    doc: "A way to shift the traffic: `steps` in full, or `by` and `every` for even ones.",
    keys: &[&[
        key(
            "steps",
            Shape::Steps(&STEP),
            Need::Optional,
            "Green's shares in percent: each higher than the one before, the last 100. A bare number moves on at once.",
        ),
        key(
            "by",
            Shape::Count { least: 1, most: 100 },
            Need::Optional,
            "Even steps: how many percent each adds. The last one ends at 100.",
        ),
        key(
            "every",
            Shape::Hold,
            Need::Optional,
            "Even steps: how long to stay on each before 100: a time, or `promote` to wait for an order.",
        ),
    ]],
    either: &[&["steps"], &["by", "every"]],
};

/// One step in full.
pub(super) static STEP: Place = Place {
    doc: "One step of the shift.",
    keys: &[&[
        key("share", SHARE, Need::Required, "Green's share of the traffic in percent."),
        key(
            "hold",
            Shape::Hold,
            Need::Default("0s"),
            "How long to stay on it, healthy: a time, or `promote` to wait for an order.",
        ),
    ]],
    either: &[],
};

/// A step that shifts nothing is no step.
pub(super) const SHARE: Shape = Shape::Count { least: 1, most: 100 };

static ENVIRONMENT: Place = Place {
    doc: "One environment: where the service runs, and what is different there.",
    keys: &[
        &[key("provider", Shape::Place(&PROVIDER), Need::Required, "What runs the service here.")],
        &SETTINGS,
    ],
    either: &[],
};

static PROVIDER: Place = Place {
    doc: "What runs the service: exactly one.",
    keys: &[&[
        key("local", Shape::Place(&LOCAL), Need::Optional, "Processes on this host."),
        key(
            "aws",
            Shape::Place(&super::table_aws::AWS),
            Need::Optional,
            "Auto Scaling groups behind load balancers on AWS.",
        ),
        key(
            "edas",
            Shape::Place(&super::table_edas::EDAS),
            Need::Optional,
            "An EDAS application behind load balancers on Alibaba Cloud.",
        ),
    ]],
    either: &[&["local"], &["aws"], &["edas"]],
};

static LOCAL: Place = Place {
    doc: "The service as processes on this host, behind a small proxy.",
    keys: &[&[
        key(
            "bootstrap",
            Shape::Revision,
            Need::Optional,
            "The revision that is brought up first where nothing runs yet, so that there is a blue to replace. May hold `${NAME}`.",
        ),
        key(
            "command",
            Shape::Words,
            Need::Required,
            "The program and its arguments, each word an item; never a shell. `deployer` as program is this very binary. Each instance gets PORT, REVISION, INSTANCE and SERVICE in its environment. May hold `${NAME}`.",
        ),
        key(
            "env",
            Shape::Env,
            Need::Optional,
            "Further environment variables of each instance. The values may hold `${NAME}`.",
        ),
        key("health", Shape::Place(&HEALTH), Need::Optional, "How each target is checked."),
        key(
            "groups",
            Shape::Named { place: &GROUP, names: Names::Label, least: 1, most: 256 },
            Need::Required,
            "Every target group that the service must be reachable through.",
        ),
        key(
            "allow_remote",
            Shape::Flag,
            Need::Default("false"),
            "Whether a group may listen on an address that other hosts can reach.",
        ),
    ]],
    either: &[],
};

static HEALTH: Place = Place {
    doc: "How each target is checked: an HTTP GET that must answer with a 2xx status.",
    keys: &[&[
        key("path", Shape::Path, Need::Default("/health"), "The path that is asked for."),
        key("interval", Shape::Span { least: MOMENT }, Need::Default("1s"), "How often."),
        key("timeout", Shape::Span { least: MOMENT }, Need::Default("1s"), "How long a check may take."),
        key(
            "healthy_after",
            Shape::Count { least: 1, most: 100 },
            Need::Default("2"),
            "How many passed checks in a row make a target healthy.",
        ),
        key(
            "unhealthy_after",
            Shape::Count { least: 1, most: 100 },
            Need::Default("2"),
            "How many failed checks in a row make a target unhealthy.",
        ),
    ]],
    either: &[],
};

static GROUP: Place = Place {
    doc: "One target group: an address under which the service is reached.",
    keys: &[&[
        key("listen", Shape::Address, Need::Required, "The address and port, such as 127.0.0.1:8080."),
        key(
            "deregistration_delay",
            Shape::Span { least: AT_ONCE },
            Need::Default("10s"),
            "How long a deregistered target keeps its open connections.",
        ),
    ]],
    either: &[],
};
