//! One request to one operation, before it is signed.

use std::collections::BTreeMap;

use reqwest::Url;

/// What an operation belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cloud::edas) enum Product {
    /// Applications, deploy groups and change orders.
    Edas,
    /// Application load balancers.
    Alb,
    /// Network load balancers.
    Nlb,
    /// Classic load balancers.
    Clb,
    /// Auto Scaling.
    Ess,
    /// Instances, security groups and launch templates.
    Ecs,
    /// Who we are.
    Sts,
}

impl Product {
    /// All of them.
    pub(super) const ALL: [Self; 7] =
        [Self::Edas, Self::Alb, Self::Nlb, Self::Clb, Self::Ess, Self::Ecs, Self::Sts];

    /// The version of its interface (the official SDKs of 2026-10).
    pub(super) const fn version(self) -> &'static str {
        match self {
            Self::Edas => "2017-08-01",
            Self::Alb => "2020-06-16",
            Self::Nlb => "2022-04-30",
            Self::Clb => "2014-05-15",
            Self::Ess => "2022-02-22",
            Self::Ecs => "2014-05-26",
            Self::Sts => "2015-04-01",
        }
    }

    /// Whether one endpoint serves many regions, so that each call has to name its own.
    pub(super) const fn names_region(self) -> bool {
        match self {
            Self::Clb | Self::Ess | Self::Ecs => true,
            Self::Edas | Self::Alb | Self::Nlb | Self::Sts => false,
        }
    }
}

/// The verb of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cloud::edas) enum Method {
    /// Mostly reads; EDAS changes things by it too.
    Get,
    /// Mostly changes; EDAS reads by it too.
    Post,
    /// Changes.
    Put,
    /// Takes away.
    Delete,
}

impl Method {
    pub(super) const fn verb(self) -> reqwest::Method {
        match self {
            Self::Get => reqwest::Method::GET,
            Self::Post => reqwest::Method::POST,
            Self::Put => reqwest::Method::PUT,
            Self::Delete => reqwest::Method::DELETE,
        }
    }
}

/// What it means to send a call twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Nothing: it changes nothing.
    Read,
    /// Nothing: the provider knows it again by its token, or it comes to the same.
    Token,
    /// Perhaps two changes.
    Write,
}

/// One request to one operation.
#[derive(Debug, Clone)]
pub(in crate::cloud::edas) struct Call {
    pub(super) product: Product,
    pub(super) action: &'static str,
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) nature: Nature,
    /// In the order in which they are signed.
    query: BTreeMap<String, String>,
    form: Vec<(String, String)>,
}

impl Call {
    /// An operation with a path of its own, as EDAS has them.
    pub fn roa(product: Product, action: &'static str, method: Method, path: &'static str) -> Self {
        let (query, form) = (BTreeMap::new(), Vec::new());
        Self { product, action, method, path, nature: Nature::Write, query, form }
    }

    /// An operation that is told by its name alone.
    pub fn rpc(product: Product, action: &'static str) -> Self {
        Self::roa(product, action, Method::Post, "/")
    }

    /// With a parameter in the query.
    #[expect(clippy::needless_pass_by_value, reason = "a caller hands over words and numbers alike")]
    pub fn with(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.query.insert(key.into(), value.to_string());
        self
    }

    /// With a parameter in the query, where there is a value.
    pub fn maybe(self, key: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// With a field in the form of its body.
    #[expect(clippy::needless_pass_by_value, reason = "a caller hands over words and numbers alike")]
    pub fn form(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.form.push((key.into(), value.to_string()));
        self
    }

    /// It changes nothing: it may be tried again whatever happened.
    pub fn read(mut self) -> Self {
        self.nature = Nature::Read;
        self
    }

    /// A write that comes to the same however often it is sent.
    pub fn repeatable(mut self) -> Self {
        self.nature = Nature::Token;
        self
    }

    /// A write that the provider knows again by this token, so that it may be repeated. NLB takes it where it takes the rest
    /// of a write.
    pub fn token(mut self, token: &str) -> Self {
        self.nature = Nature::Token;
        match self.product {
            Product::Nlb => self.form("ClientToken", token),
            _ => self.with("ClientToken", token),
        }
    }

    /// The operation.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// Naming its region, where its endpoint serves many.
    pub(super) fn in_region(mut self, region: &str) -> Self {
        if self.product.names_region() {
            self.query.entry("RegionId".to_owned()).or_insert_with(|| region.to_owned());
        }
        self
    }

    /// Whether the answer is the same whoever asks: a question, and none about an application of EDAS.
    pub(super) fn is_anybodys(&self) -> bool {
        self.nature == Nature::Read && !matches!(self.product, Product::Edas | Product::Sts)
    }

    /// All that it asks.
    pub(super) fn words(&self) -> String {
        format!("{:?} {} {} {}", self.product, self.action, self.query(), self.body().unwrap_or_default())
    }

    /// The query as it is signed and sent.
    pub(super) fn query(&self) -> String {
        let pairs = self.query.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The path as it is signed and sent.
    pub(super) fn path(&self) -> String {
        self.path.split('/').map(encode).collect::<Vec<_>>().join("/")
    }

    /// The body as it is signed and sent; a call without a form has none.
    pub(super) fn body(&self) -> Option<String> {
        if self.form.is_empty() {
            return None;
        }
        let url = Url::parse_with_params("http://form/", &self.form).ok()?;
        url.query().map(str::to_owned)
    }
}

/// Everything but letters, digits and `-_.~` by its bytes.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

const HEX: [u8; 16] = *b"0123456789ABCDEF";
