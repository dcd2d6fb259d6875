//! A pod as Kubernetes describes it, as far as it matters here. What it does not say is unknown, and no pod.

use serde_json::Value;

use super::super::fleets::Member;
use crate::model::{InstanceId, InstanceState};

/// One pod.
#[derive(Debug)]
pub(super) struct Pod {
    pub id: InstanceId,
    pub member: Member,
    /// The address of its node; none before it has one.
    pub node: Option<String>,
}

/// The pod of a description, and whether it runs the image. `None` is one that has ended for good: it has no address any
/// more, and Kubernetes keeps its description for a while.
pub(super) fn pod(raw: Option<&str>, image: &str) -> Result<Option<Pod>, String> {
    let raw = raw.ok_or("EDAS does not describe one of its pods")?;
    let pod: Value = serde_json::from_str(raw).map_err(|bad| format!("the description of a pod: {bad}"))?;
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("/metadata/name").ok_or("a pod without a name")?;
    let id = InstanceId::new(name).map_err(|bad| bad.to_string())?;
    let phase = text("/status/phase").ok_or_else(|| format!("`{name}` does not say its phase"))?;
    if matches!(phase, "Succeeded" | "Failed") {
        return Ok(None);
    }
    let addresses = addresses(&pod);
    let leaves = text("/metadata/deletionTimestamp").is_some();
    if addresses.is_empty() && phase != "Pending" && !leaves {
        return Err(format!("where `{name}` stands by its address, which EDAS does not say"));
    }
    let node = text("/status/hostIP").map(str::to_owned);
    if node.is_none() && phase != "Pending" && !leaves {
        return Err(format!("EDAS does not say on which node `{name}` is"));
    }
    let state = match (leaves, phase) {
        (true, _) => InstanceState::Leaving,
        (false, "Pending") => InstanceState::Pending,
        (false, "Running") => {
            let ready = ready(&pod).ok_or_else(|| format!("`{name}` does not say whether it is ready"))?;
            let runs = runs(&pod, image).ok_or_else(|| format!("`{name}` does not say what it runs"))?;
            if ready && runs { InstanceState::Running } else { InstanceState::Pending }
        }
        (false, other) => return Err(format!("`{name}` is in a phase that nobody knows: {other}")),
    };
    Ok(Some(Pod { id, member: Member { addresses, state }, node }))
}

/// Its addresses; of two families it has one each.
fn addresses(pod: &Value) -> Vec<String> {
    let more = pod.pointer("/status/podIPs").and_then(Value::as_array).into_iter().flatten();
    let all =
        more.filter_map(|one| one["ip"].as_str()).chain(pod.pointer("/status/podIP").and_then(Value::as_str));
    let mut all: Vec<String> = all.filter(|ip| !ip.is_empty()).map(str::to_owned).collect();
    all.sort();
    all.dedup();
    all
}

fn ready(pod: &Value) -> Option<bool> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let own = conditions.iter().find(|one| one["type"] == "Ready")?;
    Some(own["status"].as_str()? == "True")
}

/// Whether one of its containers has the image. EDAS may fetch it from the registry's address inside the VPC (not written
/// anywhere), so the host does not count.
fn runs(pod: &Value, image: &str) -> Option<bool> {
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let mut images = containers.iter().filter_map(|one| one["image"].as_str()).peekable();
    images.peek()?;
    Some(images.any(|own| repository(own) == repository(image)))
}

/// An image without the host of its registry.
fn repository(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        Some(_) | None => image,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const IMAGE: &str = "registry.cn-hongkong.aliyuncs.com/shop/api:2.0.0";

    fn running() -> Value {
        json!({
            "metadata": { "name": "api-blue-1" },
            "spec": { "containers": [{ "image": "registry-vpc.cn-hongkong.aliyuncs.com/shop/api:2.0.0" }] },
            "status": { "phase": "Running", "podIP": "10.1.0.7", "hostIP": "10.0.0.3",
                "conditions": [{ "type": "Initialized", "status": "True" }, { "type": "Ready", "status": "True" }] },
        })
    }

    fn read(pod: &Value) -> Result<Option<Pod>, String> {
        super::pod(Some(&pod.to_string()), IMAGE)
    }

    #[test]
    fn a_pod_runs_when_it_is_ready_with_the_image_of_its_application() {
        let Pod { id, member, node } = read(&running()).unwrap().unwrap();
        assert_eq!(node.as_deref(), Some("10.0.0.3"));
        assert_eq!((id.as_str(), member.addresses), ("api-blue-1", vec!["10.1.0.7".to_owned()]));
        assert_eq!(member.state, InstanceState::Running);
        let changed = [
            ("/status/conditions/1/status", json!("False")),
            ("/status/conditions/1/status", json!("Unknown")),
            ("/spec/containers/0/image", json!("registry.cn-hongkong.aliyuncs.com/shop/api:1.0.0")),
            ("/status/phase", json!("Pending")),
        ];
        for (path, value) in changed {
            let mut pod = running();
            *pod.pointer_mut(path).unwrap() = value;
            assert_eq!(read(&pod).unwrap().unwrap().member.state, InstanceState::Pending, "{path}");
        }
        let mut going = running();
        going["metadata"]["deletionTimestamp"] = json!("2026-11-23T03:00:00Z");
        assert_eq!(read(&going).unwrap().unwrap().member.state, InstanceState::Leaving);
    }

    #[test]
    fn whatever_a_pod_does_not_say_is_unknown() {
        for path in [
            "/metadata/name",
            "/status/phase",
            "/status/podIP",
            "/status/hostIP",
            "/status/conditions",
            "/spec/containers",
        ] {
            let mut pod = running();
            *pod.pointer_mut(path).unwrap() = Value::Null;
            assert!(read(&pod).is_err(), "{path}");
        }
        for (path, value) in [
            ("/status/phase", json!("Dreaming")),
            ("/status/conditions", json!([])),
            ("/spec/containers", json!([])),
        ] {
            let mut pod = running();
            *pod.pointer_mut(path).unwrap() = value;
            assert!(read(&pod).is_err(), "{path}");
        }
        assert!(super::pod(None, IMAGE).is_err() && super::pod(Some("{"), IMAGE).is_err());
    }

    #[test]
    fn one_that_has_ended_is_no_pod_and_one_that_begins_needs_no_address() {
        let mut ended = running();
        ended["status"] = json!({ "phase": "Failed", "reason": "Evicted" });
        assert!(read(&ended).unwrap().is_none());
        let begins = json!({ "metadata": { "name": "api-2" }, "status": { "phase": "Pending" } });
        assert_eq!(read(&begins).unwrap().unwrap().member.state, InstanceState::Pending);
    }

    #[test]
    fn only_the_registrys_host_does_not_count() {
        assert_eq!(repository("shop/api:1"), "shop/api:1");
        assert_eq!(repository("localhost:5000/shop/api:1"), "shop/api:1");
        assert_ne!(repository("a.example.com/shop/api:1"), repository("a.example.com/store/api:1"));
    }
}
