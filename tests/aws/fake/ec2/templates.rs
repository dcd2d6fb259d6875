//! Launch templates and their versions.

use serde_json::{Map, Value, json};

use super::super::input::Input;
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{ACCOUNT, Template, TemplateVersion, World};
use super::{PAGING, passes, tag_set};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "DescribeLaunchTemplates",
        knows: &[
            "LaunchTemplateId[]",
            "LaunchTemplateName[]",
            "Filter[].Name",
            "Filter[].Value[]",
            "MaxResults",
            "NextToken",
        ],
        run: describe,
    },
    Operation {
        name: "DescribeLaunchTemplateVersions",
        knows: &[
            "LaunchTemplateId",
            "LaunchTemplateName",
            "LaunchTemplateVersion[]",
            "MinVersion",
            "MaxVersion",
            "MaxResults",
            "NextToken",
        ],
        run: versions,
    },
    Operation {
        name: "CreateLaunchTemplateVersion",
        knows: &[
            "LaunchTemplateId",
            "LaunchTemplateName",
            "SourceVersion",
            "VersionDescription",
            "ClientToken",
            "LaunchTemplateData.ImageId",
            "LaunchTemplateData.InstanceType",
            "LaunchTemplateData.UserData",
            "LaunchTemplateData.KeyName",
            "LaunchTemplateData.SecurityGroupId[]",
            "LaunchTemplateData.SecurityGroup[]",
            "LaunchTemplateData.IamInstanceProfile.Arn",
            "LaunchTemplateData.IamInstanceProfile.Name",
            "LaunchTemplateData.EbsOptimized",
            "LaunchTemplateData.MetadataOptions*",
            "LaunchTemplateData.Monitoring*",
            "LaunchTemplateData.BlockDeviceMapping[]*",
            "LaunchTemplateData.NetworkInterface[]*",
            "LaunchTemplateData.TagSpecification[].ResourceType",
            "LaunchTemplateData.TagSpecification[].Tag[].Key",
            "LaunchTemplateData.TagSpecification[].Tag[].Value",
        ],
        run: create_version,
    },
];

fn unknown_id(id: &str) -> ApiError {
    let text = format!("The specified launch template, with template ID {id}, does not exist.");
    ApiError::new("InvalidLaunchTemplateId.NotFound", text)
}

fn unknown_name(name: &str) -> ApiError {
    let text = format!("The specified launch template, with template name {name}, does not exist.");
    ApiError::new("InvalidLaunchTemplateName.NotFoundException", text)
}

fn describe(world: &mut World, input: &Input) -> Answer {
    let (ids, names) = (input.list("LaunchTemplateId"), input.list("LaunchTemplateName"));
    if let Some(id) = ids.iter().find(|id| !world.templates.contains_key(*id)) {
        return Err(unknown_id(id));
    }
    if let Some(name) = names.iter().find(|name| !world.templates.values().any(|one| one.name == **name)) {
        return Err(unknown_name(name));
    }
    let asked = |one: &&Template| {
        (ids.is_empty() && names.is_empty()) || ids.contains(&one.id) || names.contains(&one.name)
    };
    let mut shown = Vec::new();
    for one in world.templates.values().filter(asked) {
        let field = |name: &str| (name == "launch-template-name").then(|| vec![one.name.clone()]);
        if passes(input, &one.tags, field)? {
            shown.push(json!({
                "launchTemplateId": one.id, "launchTemplateName": one.name, "createTime": world.iso(0),
                "createdBy": format!("arn:aws:iam::{ACCOUNT}:root"), "defaultVersionNumber": one.default,
                "latestVersionNumber": one.versions.len(), "tagSet": tag_set(&one.tags),
            }));
        }
    }
    input.page(PAGING, world.settings.page, shown, "launchTemplates")
}

fn named<'a>(world: &'a World, input: &Input) -> Result<&'a Template, ApiError> {
    match (input.text("LaunchTemplateId"), input.text("LaunchTemplateName")) {
        (Some(id), None) => world.templates.get(id).ok_or_else(|| unknown_id(id)),
        (None, Some(name)) => {
            world.templates.values().find(|one| one.name == name).ok_or_else(|| unknown_name(name))
        }
        (Some(_), Some(_)) | (None, None) => {
            let text = "Specify either a launch template ID or a launch template name, and not both";
            Err(ApiError::new("InvalidParameterCombination", text))
        }
    }
}

fn number_of(template: &Template, version: &str) -> Result<u64, ApiError> {
    let latest = template.versions.len() as u64;
    let found = match version {
        "$Latest" => Some(latest),
        "$Default" => Some(template.default),
        number => number.parse().ok().filter(|number| (1..=latest).contains(number)),
    };
    let text = format!(
        "Could not find the specified version {version} for the launch template with ID {}.",
        template.id
    );
    found.ok_or_else(|| ApiError::new("InvalidLaunchTemplateId.VersionNotFound", text))
}

fn versions(world: &mut World, input: &Input) -> Answer {
    let template = named(world, input)?;
    let asked = input.list("LaunchTemplateVersion");
    let (low, high) =
        (input.number("MinVersion")?.unwrap_or(1), input.number("MaxVersion")?.unwrap_or(u64::MAX));
    let numbers: Vec<u64> = if asked.is_empty() {
        (1..=template.versions.len() as u64).rev().filter(|number| (low..=high).contains(number)).collect()
    } else {
        asked.iter().map(|version| number_of(template, version)).collect::<Result<_, _>>()?
    };
    let shown = numbers.into_iter().filter_map(|number| show(world, template, number)).collect();
    input.page(PAGING, world.settings.page, shown, "launchTemplateVersionSet")
}

fn show(world: &World, template: &Template, number: u64) -> Option<Value> {
    let version = template.versions.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
    Some(json!({
        "launchTemplateId": template.id, "launchTemplateName": template.name, "versionNumber": number,
        "versionDescription": version.description, "createTime": world.iso(0),
        "createdBy": format!("arn:aws:iam::{ACCOUNT}:root"), "defaultVersion": number == template.default,
        "launchTemplateData": answered(&version.data, false),
    }))
}

/// Names as answers write them: `ImageId` is `imageId`, and lists are sets.
fn answered(data: &Value, interface: bool) -> Value {
    let Value::Object(fields) = data else { return data.clone() };
    let mut shown = Map::new();
    for (name, value) in fields {
        let mut lower = name.clone();
        if let Some(first) = lower.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        match value {
            Value::Array(list) => {
                let inner = list.iter().map(|one| answered(one, name == "NetworkInterface")).collect();
                let set = if interface && name == "SecurityGroupId" {
                    "groupSet".to_owned()
                } else {
                    lower + "Set"
                };
                shown.insert(set, Value::Array(inner));
            }
            other => drop(shown.insert(lower, answered(other, interface))),
        }
    }
    Value::Object(shown)
}

fn create_version(world: &mut World, input: &Input) -> Answer {
    let template = named(world, input)?;
    let id = template.id.clone();
    let given = input.tree.get("LaunchTemplateData").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut data = Map::new();
    if let Some(source) = input.text("SourceVersion") {
        let number = number_of(template, source)?;
        data = world.template_data(&id, number).and_then(Value::as_object).cloned().unwrap_or_default();
    }
    data.extend(given);
    if data.is_empty() {
        let text = "The request must contain the parameter LaunchTemplateData";
        return Err(ApiError::new("MissingParameter", text));
    }
    let version = TemplateVersion {
        data: Value::Object(data),
        description: input.text("VersionDescription").map(str::to_owned),
        client_token: input.text("ClientToken").map(str::to_owned),
    };
    let same = template
        .versions
        .iter()
        .position(|one| one.client_token.is_some() && one.client_token == version.client_token);
    let number = match same {
        Some(at) if template.versions.get(at).is_some_and(|one| one.data == version.data) => at as u64 + 1,
        Some(_) => {
            let text = "The client token was already used with different parameters";
            return Err(ApiError::new("IdempotentParameterMismatch", text));
        }
        None => template.versions.len() as u64 + 1,
    };
    let template = world.templates.get_mut(&id).ok_or_else(|| unknown_id(&id))?;
    if same.is_none() {
        template.versions.push(version);
    }
    let shown = world.templates.get(&id).and_then(|template| show(world, template, number));
    Ok(json!({ "launchTemplateVersion": shown }))
}
