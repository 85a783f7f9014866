"""The one table of task kinds and what they do."""

from __future__ import annotations

from collections.abc import Mapping

from orbital.v1 import task_pb2 as pb

from region.handlers.define_key import define_key
from region.handlers.define_tenant import define_tenant
from region.handlers.emergency_rotate import emergency_rotate
from region.handlers.link_key import link_key
from region.handlers.parts import Handler
from region.handlers.purge_key import purge_key
from region.handlers.retire_tenant import retire_tenant
from region.handlers.rotate_key import rotate_key
from region.handlers.sync_policy import sync_policy
from region.handlers.unlink_key import unlink_key

# SYNC_METADATA is not here: it is set-based, see `sync_metadata`.
HANDLERS: Mapping[pb.TaskKind.ValueType, Handler] = {
    pb.TASK_KIND_UNLINK_KEY: unlink_key,
    pb.TASK_KIND_DEFINE_TENANT: define_tenant,
    pb.TASK_KIND_DEFINE_KEY: define_key,
    pb.TASK_KIND_LINK_KEY: link_key,
    pb.TASK_KIND_ROTATE_KEY: rotate_key,
    pb.TASK_KIND_EMERGENCY_ROTATE: emergency_rotate,
    pb.TASK_KIND_PURGE_KEY: purge_key,
    pb.TASK_KIND_RETIRE_TENANT: retire_tenant,
    pb.TASK_KIND_SYNC_POLICY: sync_policy,
}
