//! A cluster of Kubernetes as EDAS deploys to it: applications with pods, and a controller that keeps pods in groups of
//! servers, some time after the pods themselves have come or gone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::groups::Asked;
use super::world::{App, Host, Ms, World};

pub const CLUSTER: &str = "c7a5e000-fa4e-4000-8000-000000000005";
/// The address of the node that every pod is on.
pub const NODE: &str = "10.8.0.1";
/// How EDAS counts clusters of Kubernetes.
const KUBERNETES: u64 = 5;
/// When a pod comes up that never does.
const NEVER: Ms = Ms::MAX / 2;

/// An application on Kubernetes.
#[derive(Debug, Clone)]
pub struct KubeApp {
    pub app: String,
    pub image: String,
    pub replicas: u64,
    pub pods: Vec<Pod>,
    /// The groups that its Service names, with the port of the pods.
    pub keeps: Vec<(String, u16)>,
    /// As `GetK8sServices` shows them.
    pub services: Vec<Value>,
    /// Scaling rules, and whether they are on.
    pub rules: BTreeMap<String, bool>,
    /// What EDAS binds to it, as JSON in a text.
    pub slb_info: String,
    /// Whom the controller has put where.
    placed: BTreeSet<(String, String, u16)>,
}

#[derive(Debug, Clone)]
pub struct Pod {
    pub host: String,
    pub image: String,
    /// Since when it has been on its way out.
    pub leaving: Option<Ms>,
    /// What its description says instead of what is so.
    pub raw: Option<String>,
}

impl World {
    /// An application on Kubernetes with pods that run: its identity. Its Service keeps them in these groups.
    pub fn kube_app(&mut self, name: &str, image: &str, pods: u64, keeps: &[(&str, u16)]) -> String {
        let id = self.uuid();
        self.apps.push(App {
            id: id.clone(),
            name: name.to_owned(),
            cluster_type: KUBERNETES,
            port: keeps.first().map_or(0, |(_, port)| *port),
            groups: Vec::new(),
            packages: Vec::new(),
            bindings: [None, None],
            tags: BTreeMap::new(),
        });
        let service = json!({
            "Name": name, "Type": "LoadBalancer", "ClusterIP": "172.16.0.9",
            "ServicePorts": [{ "Port": 80, "TargetPort": "8080", "Protocol": "TCP", "NodePort": 0 }],
        });
        self.kube.push(KubeApp {
            app: id.clone(),
            image: image.to_owned(),
            replicas: 0,
            pods: Vec::new(),
            keeps: keeps.iter().map(|(group, port)| ((*group).to_owned(), *port)).collect(),
            services: vec![service],
            rules: BTreeMap::new(),
            slb_info: String::new(),
            placed: BTreeSet::new(),
        });
        self.rescale(&id, None, pods, false);
        for host in self.hosts.values_mut() {
            host.state = if host.state == "Pending" { "Running" } else { host.state };
        }
        for (group, port) in keeps {
            for host in self.pods(&id) {
                let ip = self.hosts[&host].ip.clone();
                self.stand(group, &ip, *port, 100);
                for own in self.kube.iter_mut().filter(|own| own.app == id) {
                    own.placed.insert(((*group).to_owned(), ip.clone(), *port));
                }
            }
        }
        id
    }

    pub fn kube_of(&mut self, app: &str) -> Option<&mut KubeApp> {
        self.kube.iter_mut().find(|own| own.app == app)
    }

    /// The pods that run and stay, by name.
    pub fn pods(&self, app: &str) -> Vec<String> {
        let own = self.kube.iter().filter(|own| own.app == app).flat_map(|own| &own.pods);
        let up = |host: &&String| self.hosts.get(*host).is_some_and(|host| host.state == "Running");
        own.filter(|pod| pod.leaving.is_none()).map(|pod| &pod.host).filter(up).cloned().collect()
    }

    /// Gives an application another image or another number of pods. `spoilt`: one of the new ones never comes up.
    pub fn rescale(&mut self, app: &str, image: Option<&str>, replicas: u64, spoilt: bool) {
        let now = self.now;
        let name = self.app(app).map(|app| app.name.clone()).unwrap_or_default();
        let Some(own) = self.kube_of(app) else { return };
        own.replicas = replicas;
        if let Some(image) = image {
            image.clone_into(&mut own.image);
        }
        let image = own.image.clone();
        let mut stay = 0;
        for pod in own.pods.iter_mut().filter(|pod| pod.leaving.is_none()) {
            if pod.image == image && stay < replicas {
                stay += 1;
            } else {
                pod.leaving = Some(now);
            }
        }
        for n in stay..replicas {
            let never = spoilt && n + 1 == replicas;
            let host = self.pod_host(&name, if never { NEVER } else { now });
            if let Some(own) = self.kube_of(app) {
                own.pods.push(Pod { host, image: image.clone(), leaving: None, raw: None });
            }
        }
    }

    fn pod_host(&mut self, name: &str, launched: Ms) -> String {
        let n = self.fresh();
        let (id, ip) = (format!("{name}-{n:05x}"), format!("10.9.{}.{}", n / 250, n % 250 + 1));
        let host = Host {
            id: id.clone(),
            ip,
            interfaces: Vec::new(),
            state: "Pending",
            launched,
            security_groups: self.security_groups.keys().take(1).cloned().collect(),
            zone: self.zones()[0],
            template: None,
            release: true,
        };
        self.hosts.insert(id.clone(), host);
        id
    }

    /// Kubernetes replaces a pod: another name, another address.
    pub fn evict(&mut self, app: &str, pod: &str) {
        let now = self.now;
        let Some(own) = self.kube_of(app) else { return };
        let replicas = own.replicas;
        for own in own.pods.iter_mut().filter(|own| own.host == pod) {
            own.leaving = Some(now);
        }
        self.rescale(app, None, replicas, false);
    }

    /// Whether every pod that an application is to have is there and up.
    pub fn is_scaled(&self, app: &str) -> bool {
        let Some(own) = self.kube.iter().find(|own| own.app == app) else { return true };
        self.pods(app).len() as u64 == own.replicas
    }

    /// The revision of a pod: what stands behind the last colon of its image.
    pub fn pod_version(&self, host: &str) -> Option<&str> {
        let pod = self.kube.iter().flat_map(|own| &own.pods).find(|pod| pod.host == host)?;
        pod.image.rsplit_once(':').map(|(_, tag)| tag)
    }

    /// The controller puts pods in and takes them out, and pods end.
    pub fn settle_kube(&mut self) {
        let (now, delay) = (self.now, self.settings.controller);
        for at in 0..self.kube.len() {
            let Some(own) = self.kube.get(at).cloned() else { continue };
            let mut wanted = BTreeSet::new();
            for pod in &own.pods {
                let Some(host) = self.hosts.get(&pod.host) else { continue };
                let came = host.launched.saturating_add(self.settings.launch + delay);
                let up = host.state == "Running" && now >= came;
                if up && pod.leaving.is_none_or(|since| now < since + delay) {
                    let keeps = own.keeps.iter();
                    wanted.extend(keeps.map(|(group, port)| (group.clone(), host.ip.clone(), *port)));
                }
            }
            // Whoever stood there before time began stays as long as its pod.
            let standing = own.placed.iter().filter(|(_, ip, _)| {
                let pods = own.pods.iter().filter(|pod| pod.leaving.is_none_or(|since| now < since + delay));
                pods.into_iter().any(|pod| self.hosts.get(&pod.host).is_some_and(|host| host.ip == *ip))
            });
            wanted.extend(standing.cloned());
            for (group, ip, port) in wanted.difference(&own.placed) {
                let asked = Asked {
                    id: ip.clone(),
                    port: *port,
                    weight: 100,
                    kind: "Ip".to_owned(),
                    description: "k8s".to_owned(),
                };
                self.put(group, asked, now + self.settings.job);
            }
            for (group, ip, port) in own.placed.difference(&wanted) {
                self.take(group, ip, *port, now);
            }
            let gone = |pod: &Pod| pod.leaving.is_some_and(|since| now >= since + 2 * delay + 5);
            for pod in own.pods.iter().filter(|pod| gone(pod)) {
                self.hosts.remove(&pod.host);
            }
            if let Some(place) = self.kube.get_mut(at) {
                place.placed = wanted;
                place.pods.retain(|pod| !gone(pod));
            }
        }
    }
}
