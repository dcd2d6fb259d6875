//! What EC2 tells us about, as far as we need it.

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cloud::aws) struct Instance {
    /// `i-…`.
    pub id: String,
    /// `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
    pub state: String,
    /// Every private address of every interface, IPv6 ones too.
    pub addresses: Vec<String>,
    /// The ids of its security groups: those of the interface that load balancers send to.
    pub security_groups: Vec<String>,
    /// The subnet.
    pub subnet: Option<String>,
    /// The network.
    pub vpc: Option<String>,
    /// The availability zone, such as `ap-east-1a`.
    pub zone: Option<String>,
    /// The image that it was launched from.
    pub image: Option<String>,
    /// The Auto Scaling group, by the tag that only AWS can set.
    pub auto_scaling_group: Option<String>,
}

/// One version of a launch template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cloud::aws) struct TemplateVersion {
    /// The template, `lt-…`.
    pub template: String,
    /// Its number: 1 is the first.
    pub number: u64,
    /// Whether `$Default` means it.
    pub default: bool,
    /// What whoever made it wrote.
    pub description: Option<String>,
    /// The image: an id, or `resolve:ssm:…`.
    pub image: Option<String>,
    /// The ids of the security groups, of the first interface where the template describes interfaces.
    pub security_groups: Vec<String>,
    /// The subnet, which an Auto Scaling group decides as a rule.
    pub subnet: Option<String>,
    /// The instance profile, by ARN or name: whoever launches must be allowed to pass its role.
    pub instance_profile: Option<String>,
    /// The kind of instance.
    pub instance_type: Option<String>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cloud::aws) struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// The network.
    pub vpc: String,
    /// The availability zone, such as `ap-east-1a`.
    pub zone: String,
    /// Its addresses, IPv6 ones too.
    pub cidrs: Vec<String>,
}
