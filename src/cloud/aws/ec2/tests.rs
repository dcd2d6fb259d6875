//! Documents as EC2 sends them, and others.

use super::super::query::read;
use super::wire;
use crate::cloud::firewall::{Rule, Source};

const INSTANCES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>8f7724cf-496f-496e-8fe3-example</requestId>
  <reservationSet>
    <item>
      <reservationId>r-1</reservationId><ownerId>123456789012</ownerId><groupSet/>
      <instancesSet>
        <item>
          <instanceId>i-0a</instanceId><imageId>ami-1</imageId>
          <instanceState><code>16</code><name>running</name></instanceState>
          <privateDnsName>ip-10-0-0-5</privateDnsName><dnsName/><reason/>
          <placement><availabilityZone>ap-east-1a</availabilityZone><tenancy>default</tenancy></placement>
          <subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>
          <privateIpAddress>10.0.0.5</privateIpAddress>
          <groupSet><item><groupId>sg-1</groupId><groupName>web</groupName></item></groupSet>
          <tagSet>
            <item><key>Name</key><value/></item>
            <item><key>aws:autoscaling:groupName</key><value>api-blue</value></item>
          </tagSet>
          <networkInterfaceSet>
            <item>
              <networkInterfaceId>eni-1</networkInterfaceId>
              <privateIpAddress>10.0.0.5</privateIpAddress>
              <groupSet><item><groupId>sg-1</groupId></item></groupSet>
              <privateIpAddressesSet>
                <item><privateIpAddress>10.0.0.5</privateIpAddress><primary>true</primary></item>
                <item><privateIpAddress>10.0.0.6</privateIpAddress><primary>false</primary></item>
              </privateIpAddressesSet>
              <ipv6AddressesSet><item><ipv6Address>2001:db8::5</ipv6Address></item></ipv6AddressesSet>
            </item>
          </networkInterfaceSet>
        </item>
      </instancesSet>
    </item>
    <item>
      <reservationId>r-2</reservationId>
      <instancesSet>
        <item>
          <instanceId>i-0b</instanceId>
          <instanceState><code>48</code><name>terminated</name></instanceState>
          <groupSet/><networkInterfaceSet/>
        </item>
      </instancesSet>
    </item>
  </reservationSet>
  <nextToken>more</nextToken>
</DescribeInstancesResponse>"#;

#[test]
fn instances_are_read_with_every_address_they_have() {
    let page: wire::Instances = read(INSTANCES).unwrap();
    assert_eq!(page.next_token.as_deref(), Some("more"));
    let instances = page.into_instances();
    let [running, gone] = instances.as_slice() else { panic!("{instances:?}") };
    assert_eq!((running.id.as_str(), running.state.as_str()), ("i-0a", "running"));
    assert_eq!(running.addresses, ["10.0.0.5", "10.0.0.6", "2001:db8::5"]);
    assert_eq!(running.security_groups, ["sg-1"]);
    assert_eq!(running.zone.as_deref(), Some("ap-east-1a"));
    assert_eq!(running.auto_scaling_group.as_deref(), Some("api-blue"));
    assert_eq!((gone.state.as_str(), gone.addresses.len(), gone.subnet.clone()), ("terminated", 0, None));
}

#[test]
fn an_empty_set_is_one_only_where_the_answer_says_so() {
    let empty =
        "<DescribeInstancesResponse><requestId>r</requestId><reservationSet/></DescribeInstancesResponse>";
    assert!(read::<wire::Instances>(empty).unwrap().into_instances().is_empty());
    let cut = &INSTANCES[..INSTANCES.len() - 40];
    for text in ["", "garbage", "<html><body>hello</body></html>", "{}", cut, "<DescribeInstancesResponse/>"]
    {
        assert!(read::<wire::Instances>(text).is_err(), "{text:?} was read");
    }
    for n in (0..INSTANCES.len() - 1).step_by(7) {
        assert!(read::<wire::Instances>(&INSTANCES[..n]).is_err(), "cut at {n}");
    }
}

#[test]
fn a_template_version_shows_its_image_and_the_security_groups_of_its_first_interface() {
    let text = r"<DescribeLaunchTemplateVersionsResponse><requestId>r</requestId><launchTemplateVersionSet>
        <item><launchTemplateId>lt-1</launchTemplateId><launchTemplateName>api</launchTemplateName>
          <versionNumber>7</versionNumber><defaultVersion>true</defaultVersion><versionDescription/>
          <launchTemplateData><imageId>ami-7</imageId><instanceType>t3.small</instanceType>
            <iamInstanceProfile><arn>arn:aws:iam::123456789012:instance-profile/api</arn></iamInstanceProfile>
            <networkInterfaceSet>
              <item><deviceIndex>1</deviceIndex><groupSet><groupId>sg-9</groupId></groupSet></item>
              <item><deviceIndex>0</deviceIndex><subnetId>subnet-1</subnetId>
                <groupSet><groupId>sg-1</groupId><groupId>sg-2</groupId></groupSet></item>
            </networkInterfaceSet>
          </launchTemplateData></item>
        <item><launchTemplateId>lt-1</launchTemplateId><versionNumber>6</versionNumber>
          <defaultVersion>false</defaultVersion>
          <launchTemplateData><securityGroupIdSet><item>sg-3</item></securityGroupIdSet></launchTemplateData></item>
      </launchTemplateVersionSet></DescribeLaunchTemplateVersionsResponse>";
    let versions = read::<wire::Versions>(text).unwrap().into_versions();
    let [seventh, sixth] = versions.as_slice() else { panic!("{versions:?}") };
    assert_eq!((seventh.number, seventh.default, seventh.description.clone()), (7, true, None));
    assert_eq!(seventh.image.as_deref(), Some("ami-7"));
    assert_eq!(seventh.security_groups, ["sg-1", "sg-2"]);
    assert_eq!(seventh.subnet.as_deref(), Some("subnet-1"));
    assert!(seventh.instance_profile.as_deref().is_some_and(|arn| arn.ends_with("/api")));
    assert_eq!((sixth.number, sixth.default, sixth.image.clone()), (6, false, None));
    assert_eq!(sixth.security_groups, ["sg-3"]);
    let made = r"<CreateLaunchTemplateVersionResponse><launchTemplateVersion>
        <launchTemplateId>lt-1</launchTemplateId><versionNumber>8</versionNumber></launchTemplateVersion>
        <warning/></CreateLaunchTemplateVersionResponse>";
    assert_eq!(read::<wire::Created>(made).unwrap().number(), 8);
}

#[test]
fn a_security_group_is_read_with_every_kind_of_source() {
    let text = r"<DescribeSecurityGroupsResponse><requestId>r</requestId><securityGroupInfo><item>
        <ownerId>123456789012</ownerId><groupId>sg-1</groupId><groupName>web</groupName>
        <ipPermissions>
          <item><ipProtocol>tcp</ipProtocol><fromPort>8080</fromPort><toPort>8081</toPort>
            <groups><item><userId>123456789012</userId><groupId>sg-lb</groupId></item></groups>
            <ipRanges><item><cidrIp>10.0.0.0/8</cidrIp><description>net</description></item></ipRanges>
            <ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges>
            <prefixListIds><item><prefixListId>pl-1</prefixListId></item></prefixListIds></item>
          <item><ipProtocol>-1</ipProtocol><groups/><ipRanges/><ipv6Ranges/><prefixListIds/></item>
          <item><ipProtocol>icmp</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort></item>
        </ipPermissions><ipPermissionsEgress/><tagSet/></item></securityGroupInfo></DescribeSecurityGroupsResponse>";
    let groups = read::<wire::SecurityGroups>(text).unwrap().into_groups();
    let rule = |protocol: &str, ports, sources| Rule { protocol: protocol.into(), ports, sources };
    let sources = vec![
        Source::Cidr("10.0.0.0/8".into()),
        Source::Cidr("::/0".into()),
        Source::PrefixList("pl-1".into()),
        Source::Group("sg-lb".into()),
    ];
    let expected =
        [rule("tcp", Some((8080, 8081)), sources), rule("-1", None, vec![]), rule("icmp", None, vec![])];
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].inbound, expected);
    assert_eq!(groups[0].outbound, Some(vec![]));
}

#[test]
fn subnets_are_read_with_the_addresses_of_both_families() {
    let text = r"<DescribeSubnetsResponse><subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>
        <availabilityZone>ap-east-1a</availabilityZone><cidrBlock>10.0.1.0/24</cidrBlock>
        <ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>2001:db8:1::/64</ipv6CidrBlock></item>
        </ipv6CidrBlockAssociationSet></item></subnetSet></DescribeSubnetsResponse>";
    let subnets = read::<wire::Subnets>(text).unwrap().into_subnets();
    assert_eq!(subnets[0].cidrs, ["10.0.1.0/24", "2001:db8:1::/64"]);
}
