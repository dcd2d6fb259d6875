//! Where each product is.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Url;

use super::call::Product;
use crate::cloud::{Fault, FaultKind};

/// Instead of what the environment says: every product at one address, with fixed keys and without limits. For tests.
#[doc(hidden)]
#[derive(Clone)]
pub struct Over {
    /// Where every product is.
    pub endpoint: String,
    /// The key's id.
    pub id: String,
    /// The key.
    pub secret: String,
}

impl fmt::Debug for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Over").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Products of a region, by the official SDKs' tables of 2026-10; the rest have an endpoint for each region.
const CENTRAL: [(&[Product], &str, &[&str]); 4] = [
    (
        &[Product::Clb, Product::Ess],
        "",
        &[
            "cn-qingdao",
            "cn-beijing",
            "cn-hangzhou",
            "cn-shanghai",
            "cn-shenzhen",
            "cn-hongkong",
            "ap-southeast-1",
            "us-east-1",
            "us-west-1",
            "cn-wuhan",
            "cn-fujian",
            "cn-hangzhou-finance",
            "cn-shanghai-finance-1",
            "cn-shenzhen-finance-1",
            "cn-north-2-gov-1",
        ],
    ),
    (&[Product::Ess], "", &["cn-nanjing", "cn-beijing-finance-1"]),
    (
        &[Product::Edas],
        "",
        &[
            "cn-chengdu",
            "cn-huhehaote",
            "cn-wuhan",
            "cn-fujian",
            "cn-beijing-finance-1",
            "cn-hangzhou-finance",
            "cn-shanghai-finance-1",
            "cn-shenzhen-finance-1",
        ],
    ),
    (
        &[Product::Edas],
        "ap-northeast-1",
        &["ap-south-1", "ap-southeast-3", "ap-southeast-5", "eu-west-1", "me-east-1", "us-west-1"],
    ),
];

/// The addresses of all products for one region.
#[derive(Debug)]
pub(super) struct Endpoints(BTreeMap<Product, Url>);

impl Endpoints {
    /// As the environment says, and the region's own otherwise. `vpc` instead of an address is the one inside of a VPC.
    ///
    /// # Errors
    /// [`FaultKind::Invalid`]: what is set is no address, or one that would carry a signature in the clear.
    pub fn of(region: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let mut all = BTreeMap::new();
        for product in Product::ALL {
            let own = format!("DEPLOYER_ENDPOINT_{}", short(product).1);
            let named = |name: &str| set(name).map(|value| (name.to_owned(), value));
            // CLB is called SLB by its own interface, and by who has known it for long.
            let older = (product == Product::Clb).then(|| named("DEPLOYER_ENDPOINT_SLB")).flatten();
            let given = named(&own).or(older).or_else(|| named("DEPLOYER_ENDPOINT_ALIBABA"));
            let url = match given {
                Some((name, value)) if value == "vpc" => parse(&name, &inside(product, region))?,
                Some((name, value)) => parse(&name, &value)?,
                None => parse(&own, &usual(product, region, &set))?,
            };
            all.insert(product, url);
        }
        Ok(Self(all))
    }

    /// Every product at one address.
    ///
    /// # Errors
    /// [`FaultKind::Invalid`] likewise.
    pub fn at(address: &str) -> Result<Self, Fault> {
        let url = parse("the endpoint", address)?;
        Ok(Self(Product::ALL.into_iter().map(|product| (product, url.clone())).collect()))
    }

    /// A product's address.
    pub fn url(&self, product: Product) -> Result<&Url, Fault> {
        let lacking = || Fault::new(FaultKind::Invalid, short(product).1, "the product has no endpoint");
        self.0.get(&product).ok_or_else(lacking)
    }
}

/// The host as the HTTP client writes it in a request's head.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// How a product is called in a host's name, and in a variable's.
const fn short(product: Product) -> (&'static str, &'static str) {
    match product {
        Product::Edas => ("edas", "EDAS"),
        Product::Alb => ("alb", "ALB"),
        Product::Nlb => ("nlb", "NLB"),
        Product::Clb => ("slb", "CLB"),
        Product::Ess => ("ess", "ESS"),
        Product::Ecs => ("ecs", "ECS"),
        Product::Sts => ("sts", "STS"),
    }
}

fn inside(product: Product, region: &str) -> String {
    format!("https://{}-vpc.{region}.aliyuncs.com", short(product).0)
}

fn usual(product: Product, region: &str, set: &dyn Fn(&str) -> Option<String>) -> String {
    let name = short(product).0;
    if product == Product::Sts {
        // The credentials of the official SDKs read these two.
        let vpc = set("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED").is_some_and(|on| on.eq_ignore_ascii_case("true"));
        return match set("ALIBABA_CLOUD_STS_REGION") {
            Some(region) if vpc => inside(product, &region),
            Some(region) => format!("https://sts.{region}.aliyuncs.com"),
            None => "https://sts.aliyuncs.com".to_owned(),
        };
    }
    if product == Product::Ecs && region == "cn-hangzhou" {
        return "https://ecs-cn-hangzhou.aliyuncs.com".to_owned();
    }
    let central = CENTRAL
        .iter()
        .find(|(products, _, regions)| products.contains(&product) && regions.contains(&region))
        .map(|(_, home, _)| *home);
    match central {
        Some("") => format!("https://{name}.aliyuncs.com"),
        Some(home) => format!("https://{name}.{home}.aliyuncs.com"),
        None => format!("https://{name}.{region}.aliyuncs.com"),
    }
}

fn parse(name: &str, address: &str) -> Result<Url, Fault> {
    let wrong =
        |why: &str| Fault::new(FaultKind::Invalid, "Endpoint", format!("{name} is `{address}`: {why}"));
    let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
    let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    let near = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match (url.scheme(), bare) {
        ("https", true) => Ok(url),
        ("http", true) if near => Ok(url),
        ("http", true) => Err(wrong("plain HTTP is for this host only")),
        _ => Err(wrong("write `https://HOST`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(product: Product, region: &str, vars: &[(&str, &str)]) -> String {
        let env =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        match Endpoints::of(region, &env) {
            Ok(all) => host(all.url(product).unwrap()),
            Err(fault) => fault.message,
        }
    }

    #[test]
    fn a_product_is_where_the_official_clients_find_it() {
        for (product, region, expected) in [
            (Product::Edas, "cn-hongkong", "edas.cn-hongkong.aliyuncs.com"),
            (Product::Edas, "cn-chengdu", "edas.aliyuncs.com"),
            (Product::Edas, "eu-west-1", "edas.ap-northeast-1.aliyuncs.com"),
            (Product::Alb, "cn-shanghai", "alb.cn-shanghai.aliyuncs.com"),
            (Product::Nlb, "cn-hongkong", "nlb.cn-hongkong.aliyuncs.com"),
            (Product::Clb, "cn-hongkong", "slb.aliyuncs.com"),
            (Product::Clb, "eu-central-1", "slb.eu-central-1.aliyuncs.com"),
            (Product::Ess, "cn-shanghai", "ess.aliyuncs.com"),
            (Product::Ecs, "cn-hongkong", "ecs.cn-hongkong.aliyuncs.com"),
            (Product::Ecs, "cn-hangzhou", "ecs-cn-hangzhou.aliyuncs.com"),
            (Product::Sts, "cn-hongkong", "sts.aliyuncs.com"),
        ] {
            assert_eq!(at(product, region, &[]), expected);
        }
    }

    #[test]
    fn what_is_set_wins_and_vpc_means_the_one_inside() {
        let vpc = [("DEPLOYER_ENDPOINT_ALIBABA", "vpc"), ("DEPLOYER_ENDPOINT_ALB", "http://127.0.0.1:9000")];
        assert_eq!(at(Product::Edas, "cn-hongkong", &vpc), "edas-vpc.cn-hongkong.aliyuncs.com");
        assert_eq!(at(Product::Clb, "cn-hongkong", &vpc), "slb-vpc.cn-hongkong.aliyuncs.com");
        assert_eq!(at(Product::Alb, "cn-hongkong", &vpc), "127.0.0.1:9000");
        assert_eq!(
            at(Product::Alb, "cn-hongkong", &[("DEPLOYER_ENDPOINT_ALB", "")]),
            "alb.cn-hongkong.aliyuncs.com"
        );
        let sts =
            [("ALIBABA_CLOUD_STS_REGION", "cn-hongkong"), ("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "true")];
        assert_eq!(at(Product::Sts, "cn-shanghai", &sts), "sts-vpc.cn-hongkong.aliyuncs.com");
    }

    #[test]
    fn a_signature_does_not_leave_this_host_in_the_clear() {
        for address in
            ["http://10.0.0.1:80", "http://example.com", "nonsense", "ftp://127.0.0.1", "https://a/b"]
        {
            let said = at(Product::Edas, "cn-hongkong", &[("DEPLOYER_ENDPOINT_ALIBABA", address)]);
            assert!(said.starts_with("DEPLOYER_ENDPOINT_ALIBABA is `"), "{address}: {said}");
        }
    }
}
