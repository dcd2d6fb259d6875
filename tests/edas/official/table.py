"""What the official SDKs send and read, operation by operation: each is called once with every parameter it has, and
what it would send is caught before it is sent.

Reads from the standard input which operations of which product; writes a table on the standard output.
"""

import importlib
import inspect
import json
import re
import sys
import typing
from types import SimpleNamespace
from urllib.parse import parse_qsl

from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_openapi.utils import Utils
from darabonba.model import DaraModel

PACKAGES = {
    "edas": "alibabacloud_edas20170801",
    "alb": "alibabacloud_alb20200616",
    "nlb": "alibabacloud_nlb20220430",
    "slb": "alibabacloud_slb20140515",
    "ess": "alibabacloud_ess20220222",
    "ecs": "alibabacloud_ecs20140526",
    "sts": "alibabacloud_sts20150401",
}
# Every operation of the older products has these, for the accounts of others.
OTHERS = {"OwnerAccount", "OwnerId", "ResourceOwnerAccount", "ResourceOwnerId"}
SAMPLES = {str: "text", int: 7, bool: True, float: 1.5, typing.Any: "text"}
KINDS = {"text": "s", "7": "i", "true": "b", "True": "b", "1.5": "f"}


class Caught(Exception):
    pass


def sample(kind):
    """A value of a kind, with everything in it that it can have."""
    if typing.get_origin(kind) is list:
        return [sample(typing.get_args(kind)[0])]
    if typing.get_origin(kind) is dict:
        return {"key": "text"}
    if inspect.isclass(kind) and issubclass(kind, DaraModel):
        return filled(kind)
    return SAMPLES[kind]


def hints(model):
    found = typing.get_type_hints(model.__init__, vars(inspect.getmodule(model)))
    return {name: kind for name, kind in found.items() if name != "return"}


def filled(model):
    return model(**{name: sample(kind) for name, kind in hints(model).items()})


def lines(sent):
    """`Servers.1.Port` with a number as value is `Servers[].Port:i`."""
    found = set()
    for name, value in (sent or {}).items():
        if name.split(".")[0] in OTHERS:
            continue
        path = re.sub(r"\.\d+", "[]", name)
        if value is not None and not isinstance(value, str):
            value = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
        found.add(f"{path}:{KINDS.get(value, 's')}")
    return sorted(found)


def shape(value):
    if isinstance(value, dict):
        return "*" if value == {"key": "text"} else {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return {bool: "b", int: "i", float: "f"}.get(type(value), "s")


def required(model):
    """The parameters whose description says so, by the names that they have on the wire."""
    found, said = [], False
    wire = dict(re.findall(r"if self\.(\w+) is not None:\s+(?:for [^\n]+\n\s+)?result\['(\w+)'\]", inspect.getsource(model)))
    for line in inspect.getsource(model).split("def validate")[0].splitlines():
        line = line.strip()
        if line.startswith("self."):
            name = line.split(".")[1].split(" ")[0]
            if said:
                found.append(wire.get(name, name))
            said = False
        else:
            said = said or "This parameter is required" in line
    return sorted(found)


def table(package, operations):
    client_class = importlib.import_module(f"{package}.client").Client
    models = importlib.import_module(f"{package}.models")
    config = Config(access_key_id="key", access_key_secret="secret", endpoint="127.0.0.1:1", region_id="cn-hongkong")
    client = client_class(config)
    methods = {name.replace("_", ""): name for name in dir(client_class) if name.endswith("with_options")}
    found = {}
    for operation in operations:
        method = getattr(client, methods[operation.lower() + "withoptions"])
        caught = {}

        def catch(params, request, runtime):
            caught.update(params=params, request=request)
            raise Caught

        def catch_unsigned(action, version, protocol, method, auth_type, body_type, request, runtime):
            catch(SimpleNamespace(version=version, method=method, pathname="/"), request, runtime)

        client.call_api, client.do_rpcrequest = catch, catch_unsigned
        given = {"headers": {}, "runtime": None}
        parameters = inspect.signature(method).parameters
        [request] = [name for name in parameters if name not in given] or [None]
        model = getattr(models, f"{operation}Request", None)
        if request:
            given[request] = filled(model)
        try:
            method(**{name: given[name] for name in parameters})
        except Caught:
            pass
        params, sent = caught["params"], caught["request"]
        reply = shape(filled(getattr(models, f"{operation}ResponseBody")).to_map())
        found[operation] = {
            "version": params.version,
            "method": params.method,
            "path": params.pathname,
            "query": lines(sent.query),
            "form": lines(dict(parse_qsl(Utils.to_form(sent.body or {})))),
            "required": required(model) if model else [],
            "reply": reply,
        }
    return found


json.dump({name: table(PACKAGES[name], wanted) for name, wanted in json.load(sys.stdin).items()}, sys.stdout)
