//! `init`: a deployment file from a service that runs.

use std::io::Write as _;
use std::path::Path;

use super::args::Init;
use super::context::Context;
use super::error::CliError;
use super::exit;
use crate::cloud::aws::init::From;
use crate::cloud::{Fault, aws, edas};
use crate::model::EnvironmentName;
use crate::spec::{self, Source};

/// `init`: writes `SERVICE.yaml`, never over a file that is there.
pub async fn init(context: &Context, args: Init) -> Result<u8, CliError> {
    let environment = context.global.environment.clone().ok_or_else(|| {
        CliError::usage("`--environment NAME` is needed")
            .hint("say what this account and region are called, such as `production`")
    })?;
    let path = context.file(&args.service);
    if path.exists() {
        return Err(taken(&path));
    }
    let text = describe(&args, &environment).await?;
    let name = path.display().to_string();
    // What we write, our own reader must understand.
    let source = Source { name: &name, text: &text };
    spec::validate(&source, &|_| None).map_err(|faults| {
        eprintln!("{}", faults.render(context.colour_err()).trim_end());
        CliError::new("what was found cannot be written as a deployment file: see above")
            .hint("nothing was written; write the file by hand, `deployer schema` describes it")
    })?;
    create(&path, &text)?;
    let service = &args.service;
    let options = options(context);
    println!("wrote {name}");
    println!("next   deployer doctor {service}{options}");
    println!("       deployer plan {service}{options}");
    println!("       deployer rollout {service} --revision REVISION{options}");
    Ok(exit::DONE)
}

/// The text of the file.
async fn describe(args: &Init, environment: &EnvironmentName) -> Result<String, CliError> {
    let service = &args.service;
    let failed = |caller: &'static str| {
        move |fault: Fault| {
            let hint =
                format!("nothing was written; check the name, the region and the credentials (`{caller}`)");
            CliError::new(format!("failed to describe `{service}`: {fault}")).hint(hint)
        }
    };
    if let Some(application) = &args.from_edas {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = args.region.clone().or_else(|| set("ALIBABA_CLOUD_REGION_ID"));
        let found = edas::init::find(service, application, region).await;
        let found = found.map_err(failed("aliyun sts GetCallerIdentity"))?;
        return Ok(edas::init::write(service, environment, &found));
    }
    let from = from(args)?;
    let found = aws::init::find(service, environment, &from, args.region.clone()).await;
    let found = found.map_err(failed("aws sts get-caller-identity"))?;
    Ok(aws::init::write(service, environment, &found))
}

fn from(args: &Init) -> Result<From, CliError> {
    if let Some(name) = &args.from_asg {
        return Ok(From::Group(name.clone()));
    }
    let named = args.from_codedeploy.as_deref().and_then(|text| text.split_once('/'));
    match named {
        Some((application, name)) if !application.is_empty() && !name.is_empty() => {
            Ok(From::DeploymentGroup { application: application.to_owned(), name: name.to_owned() })
        }
        _ => Err(CliError::usage("`--from-codedeploy` takes APPLICATION/GROUP")
            .hint("`aws deploy list-deployment-groups --application-name APPLICATION` lists them")),
    }
}

fn taken(path: &Path) -> CliError {
    CliError::usage(format!("`{}` is there already", path.display()))
        .hint("nothing was written; move it away, or name another folder with --config")
}

/// Creates the file, and only if nobody else did meanwhile.
fn create(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => taken(path),
        _ => CliError::new(format!("failed to write `{}`: {error}", path.display())),
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let mut file = std::fs::File::create_new(path).map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| failed(&error))
}

/// The file names its environment, so only another folder has to be repeated.
fn options(context: &Context) -> String {
    let folder = &context.global.config;
    if folder.as_os_str() == "deployments" {
        String::new()
    } else {
        format!(" --config {}", folder.display())
    }
}
