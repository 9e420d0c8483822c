from omnitron import service


@service
class Jobs: ...
