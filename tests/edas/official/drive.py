"""A whole blue/green by hand, with the official SDKs, against whatever speaks Alibaba Cloud at an address.

Reads what there is as JSON from the standard input; says on the standard output what it saw.
"""

import json
import sys
import time

from alibabacloud_alb20200616 import models as alb_models
from alibabacloud_alb20200616.client import Client as Alb
from alibabacloud_edas20170801 import models as edas_models
from alibabacloud_edas20170801.client import Client as Edas
from alibabacloud_ess20220222 import models as ess_models
from alibabacloud_ess20220222.client import Client as Ess
from alibabacloud_nlb20220430 import models as nlb_models
from alibabacloud_nlb20220430.client import Client as Nlb
from alibabacloud_slb20140515 import models as clb_models
from alibabacloud_slb20140515.client import Client as Clb
from alibabacloud_tea_openapi.models import Config

PATIENCE_SECS = 30
given = json.load(sys.stdin)
region = given["region"]
PREVIEW = "x-deployer-preview"


def config(secret=None):
    return Config(
        access_key_id=given["key"],
        access_key_secret=secret or given["secret"],
        endpoint=given["endpoint"],
        protocol="HTTP",
        region_id=region,
    )


edas, alb, nlb, clb, ess = (client(config()) for client in (Edas, Alb, Nlb, Clb, Ess))


def until(what, look):
    """Looks until something is so, and gives it back."""
    began = time.monotonic()
    while not (seen := look()):
        assert time.monotonic() - began < PATIENCE_SECS, f"waited in vain for {what}"
        time.sleep(0.005)
    return seen


def refused(code, call):
    """A call that must be refused with this code."""
    try:
        call()
    except Exception as refusal:  # The SDKs have several kinds.
        assert getattr(refusal, "code", None) == code, f"{code} was expected: {refusal}"
        return
    raise AssertionError(f"nothing refused what should be {code}")


def order(reply):
    """Follows a change order to its end."""
    body = reply.body
    assert body.code == 200, body.message
    request = edas_models.GetChangeOrderInfoRequest(change_order_id=body.change_order_id)

    def ended():
        info = edas.get_change_order_info(request).body.change_order_info
        stages = info.pipeline_info_list.pipeline_info[0].stage_list.stage_info_dto
        assert len(stages) == 3, stages
        return info if info.status not in (0, 1, 8, 9) else None

    return until("a change order to end", ended).status


def job(reply):
    """Follows a job of an ALB to its end."""
    request = alb_models.ListAsynJobsRequest(job_ids=[reply.body.job_id], max_results=100)

    def ended():
        [job] = alb.list_asyn_jobs(request).body.jobs
        return job.status if job.status != "Processing" else None

    assert until("a job to end", ended) == "Succeeded"


def status():
    return edas.query_application_status(
        edas_models.QueryApplicationStatusRequest(app_id=given["app"])
    ).body.app_info


def deploy_group(name):
    listed = edas.list_deploy_group(edas_models.ListDeployGroupRequest(app_id=given["app"]))
    groups = listed.body.deploy_group_list.deploy_group
    return next(group for group in groups if group.group_name == name)


# What there is.
assert edas.get_application(edas_models.GetApplicationRequest(app_id=given["app"])).body.application.name == "api"
blue = deploy_group("blue")
blue_ecus = [ecu for ecu in status().ecu_list.ecu if ecu.group_id == blue.group_id]
blue_hosts = [ecu.instance_id for ecu in blue_ecus]
assert len(blue_hosts) == 2, blue_hosts
held = alb.list_server_group_servers(
    alb_models.ListServerGroupServersRequest(server_ids=blue_hosts, max_results=100)
).body.servers
assert {server.server_group_id for server in held} == {given["alb_blue"]}, held
[balancer] = clb.describe_load_balancers(
    clb_models.DescribeLoadBalancersRequest(region_id=region, server_id=blue_hosts[0])
).body.load_balancers.load_balancer
groups = clb.describe_vserver_groups(
    clb_models.DescribeVServerGroupsRequest(
        region_id=region, load_balancer_id=balancer.load_balancer_id, include_listener=True, include_rule=True
    )
).body.vserver_groups.vserver_group
assert [group.vserver_group_id for group in groups] == [given["vserver"]], groups
held = nlb.list_server_group_servers(
    nlb_models.ListServerGroupServersRequest(server_ids=blue_hosts)
).body.servers
assert {server.server_group_id for server in held} == {given["nlb_group"]}, held

# Green comes.
reply = edas.insert_deploy_group(
    edas_models.InsertDeployGroupRequest(app_id=given["app"], group_name="green-2")
)
assert reply.body.code == 200, reply.body.message
green_id = deploy_group("green-2").group_id
assert green_id == reply.body.deploy_group_entity.id
bought = edas.scaleout_application_with_new_instances(
    edas_models.ScaleoutApplicationWithNewInstancesRequest(
        app_id=given["app"],
        group_id=green_id,
        scaling_num=2,
        template_id=given["template"],
        template_version="-1",
        scaling_policy="release",
    )
)
again = edas.scale_in_application(
    edas_models.ScaleInApplicationRequest(app_id=given["app"], ecc_info=status().ecc_list.ecc[0].ecc_id)
)
assert again.body.code == 601, "one change at a time"
assert order(bought) == 2
green_hosts = bought.body.instance_ids
deployed = edas.deploy_application(
    edas_models.DeployApplicationRequest(
        app_id=given["app"],
        group_id=green_id,
        deploy_type="url",
        war_url="https://bucket.oss-cn-hongkong.aliyuncs.com/a b/api~2.jar?x=1&y=*",
        package_version="20260102 030405+blue/green",
        batch=1,
        batch_wait_time=0,
        release_type=0,
        desc="发布 green",
    )
)
assert order(deployed) == 2
green = deploy_group("green-2")
assert green.package_version == "20260102 030405+blue/green"
mine = [ecc for ecc in status().ecc_list.ecc if ecc.group_id == green_id]
assert [ecc.app_state for ecc in mine] == [7, 7], mine
records = {record.ecc_id: record for record in status().deploy_record_list.deploy_record}
assert {records[ecc.ecc_id].package_version_id for ecc in mine} == {green.package_version_id}

# Green is registered and looked at before anybody is sent there.
server = alb_models.AddServersToServerGroupRequestServers
request = alb_models.AddServersToServerGroupRequest(
    server_group_id=given["alb_green"],
    client_token="add-1",
    servers=[server(server_id=id, server_type="Ecs", port=8080, weight=100) for id in green_hosts],
)
first = alb.add_servers_to_server_group(request)
assert alb.add_servers_to_server_group(request).body.job_id == first.body.job_id, "one token, one change"
job(first)
preview = alb.create_rule(
    alb_models.CreateRuleRequest(
        listener_id=given["alb_listener"],
        priority=9000,
        rule_name="preview",
        rule_conditions=[
            alb_models.CreateRuleRequestRuleConditions(
                type="Header",
                header_config=alb_models.CreateRuleRequestRuleConditionsHeaderConfig(
                    key=PREVIEW, values=[given["alb_green"]]
                ),
            )
        ],
        rule_actions=[
            alb_models.CreateRuleRequestRuleActions(
                order=1,
                type="ForwardGroup",
                forward_group_config=alb_models.CreateRuleRequestRuleActionsForwardGroupConfig(
                    server_group_tuples=[
                        alb_models.CreateRuleRequestRuleActionsForwardGroupConfigServerGroupTuples(
                            server_group_id=given["alb_green"]
                        )
                    ]
                ),
            )
        ],
    )
)
job(preview)


def alb_health(rule, group):
    """Who of a group is not well, as a rule sees it, and how many there are."""
    reply = alb.get_listener_health_status(
        alb_models.GetListenerHealthStatusRequest(
            listener_id=given["alb_listener"], include_rule=True, max_results=30
        )
    ).body
    [seen] = [seen for seen in reply.rule_health_status if seen.rule_id == rule]
    [info] = [info for info in seen.server_group_infos if info.server_group_id == group]
    return info.server_count, [server.status for server in info.non_normal_servers or []]


assert alb_health(given["alb_rule"], given["alb_green"]) == (2, ["Unused", "Unused"])
until("green to be healthy", lambda: alb_health(preview.body.rule_id, given["alb_green"]) == (2, []))


def backends(hosts, weight):
    return json.dumps(
        [{"ServerId": id, "Weight": str(weight), "Type": "ecs", "Port": "8080"} for id in hosts]
    )


clb.add_vserver_group_backend_servers(
    clb_models.AddVServerGroupBackendServersRequest(
        region_id=region, vserver_group_id=given["vserver"], backend_servers=backends(green_hosts, 100)
    )
)


def clb_health():
    reply = clb.describe_health_status(
        clb_models.DescribeHealthStatusRequest(
            region_id=region, load_balancer_id=given["clb"], listener_port=80, listener_protocol="tcp"
        )
    ).body
    servers = reply.backend_servers.backend_server
    return {server.server_id: server.server_health_status for server in servers}


until("CLB to find green well", lambda: [clb_health().get(id) for id in green_hosts] == ["normal"] * 2)
server = nlb_models.AddServersToServerGroupRequestServers
added = nlb.add_servers_to_server_group(
    nlb_models.AddServersToServerGroupRequest(
        server_group_id=given["nlb_group"],
        servers=[server(server_id=id, server_type="Ecs", port=8080, weight=100) for id in green_hosts],
    )
)
request = nlb_models.GetJobStatusRequest(job_id=added.body.job_id)
until("NLB to be done", lambda: nlb.get_job_status(request).body.status == "Succeeded")


def nlb_unwell():
    reply = nlb.get_listener_health_status(
        nlb_models.GetListenerHealthStatusRequest(listener_id=given["nlb_listener"])
    ).body
    return reply.listener_health_status[0].server_group_infos[0].non_normal_servers


until("NLB to find everybody well", lambda: not nlb_unwell())


def shift(blue_weight, green_weight):
    tuples = alb_models.UpdateRuleAttributeRequestRuleActionsForwardGroupConfigServerGroupTuples
    action = alb_models.UpdateRuleAttributeRequestRuleActions(
        order=1,
        type="ForwardGroup",
        forward_group_config=alb_models.UpdateRuleAttributeRequestRuleActionsForwardGroupConfig(
            server_group_tuples=[
                tuples(server_group_id=given["alb_blue"], weight=blue_weight),
                tuples(server_group_id=given["alb_green"], weight=green_weight),
            ]
        ),
    )
    return alb_models.UpdateRuleAttributeRequest(rule_id=given["alb_rule"], rule_actions=[action])


job(alb.update_rule_attribute(shift(90, 10)))
job(alb.update_rule_attribute(shift(0, 100)))
[rule] = alb.list_rules(alb_models.ListRulesRequest(rule_ids=[given["alb_rule"]])).body.rules
tuples = rule.rule_actions[0].forward_group_config.server_group_tuples
assert [tuple.weight for tuple in tuples] == [0, 100], tuples

# Blue goes.
clb.remove_vserver_group_backend_servers(
    clb_models.RemoveVServerGroupBackendServersRequest(
        region_id=region, vserver_group_id=given["vserver"], backend_servers=backends(blue_hosts, 100)
    )
)
server = nlb_models.RemoveServersFromServerGroupRequestServers
nlb.remove_servers_from_server_group(
    nlb_models.RemoveServersFromServerGroupRequest(
        server_group_id=given["nlb_group"],
        servers=[server(server_id=id, server_type="Ecs", port=8080) for id in blue_hosts],
    )
)
server = alb_models.RemoveServersFromServerGroupRequestServers
alb.remove_servers_from_server_group(
    alb_models.RemoveServersFromServerGroupRequest(
        server_group_id=given["alb_blue"],
        servers=[server(server_id=id, server_type="Ecs", port=8080) for id in blue_hosts],
    )
)
request = alb_models.ListServerGroupServersRequest(server_group_id=given["alb_blue"])
leaving = alb.list_server_group_servers(request).body.servers
assert {server.status for server in leaving} == {"Removing"}, leaving
until("blue to be gone from ALB", lambda: not alb.list_server_group_servers(request).body.servers)
request = nlb_models.ListServerGroupServersRequest(server_group_id=given["nlb_group"], server_ids=blue_hosts)
until("blue to be gone from NLB", lambda: not nlb.list_server_group_servers(request).body.servers)
job(alb.delete_rule(alb_models.DeleteRuleRequest(rule_id=preview.body.rule_id)))
gone = [ecc.ecc_id for ecc in status().ecc_list.ecc if ecc.group_id == blue.group_id]
assert order(
    edas.scale_in_application(
        edas_models.ScaleInApplicationRequest(app_id=given["app"], ecc_info=",".join(gone))
    )
) == 2
reply = edas.delete_deploy_group(edas_models.DeleteDeployGroupRequest(app_id=given["app"], group_name="blue"))
assert reply.body.code == 200, reply.body.message

# Scaling is held and let go.
rules = edas.get_scaling_rules(edas_models.GetScalingRulesRequest(app_id=given["app"], group_id=green_id))
assert {rule.enable for rule in rules.body.data.rule_list.rule} == {False}
ess.suspend_processes(
    ess_models.SuspendProcessesRequest(
        region_id=region, scaling_group_id=given["scaling_group"], processes=["ScaleIn", "ScaleOut"]
    )
)
[group] = ess.describe_scaling_groups(
    ess_models.DescribeScalingGroupsRequest(region_id=region, scaling_group_ids=[given["scaling_group"]])
).body.scaling_groups
assert group.suspended_processes == ["ScaleIn", "ScaleOut"], group.suspended_processes
tags = json.dumps([{"Key": "deployer:frozen:green", "Value": "in,out"}])
resources = json.dumps([given["app"]])
kind = {"resource_region_id": region, "resource_type": "application"}
reply = edas.tag_resources(edas_models.TagResourcesRequest(resource_ids=resources, tags=tags, **kind))
assert reply.body.code == 200, reply.body.message

# What is refused.
refused("SignatureDoesNotMatch", lambda: Alb(config("another secret")).list_rules(alb_models.ListRulesRequest()))
refused("ResourceNotFound.ServerGroup", lambda: alb.list_server_group_servers(
    alb_models.ListServerGroupServersRequest(server_group_id="sgp-nobody")
))
refused("IllegalParam.Weight", lambda: alb.update_rule_attribute(shift(None, 100)))
refused("InvalidRegionId.NotFound", lambda: clb.describe_load_balancers(
    clb_models.DescribeLoadBalancersRequest(region_id="cn-nowhere")
))
refused("BackendServer.TooMany", lambda: clb.add_vserver_group_backend_servers(
    clb_models.AddVServerGroupBackendServersRequest(
        region_id=region, vserver_group_id=given["vserver"], backend_servers=backends(green_hosts * 11, 100)
    )
))
alb.update_rule_attribute(shift(0, 100))
refused("IncorrectStatus.Rule", lambda: alb.update_rule_attribute(shift(0, 100)))
json.dump({"green": green_hosts, "blue": blue_hosts}, sys.stdout)
