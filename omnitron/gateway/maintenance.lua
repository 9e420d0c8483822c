-- Maintenance mode: while the key says so, everybody but those who are allowed gets 503. Whoever asks Redis
-- remembers the answer for half a second, for all; when Redis does not answer, everybody is served.

-- OpenResty brings one of its own; Debian names it otherwise.
local found, redis = pcall(require, "resty.redis")
if not found then
    redis = require "nginx.redis"
end

local KEY = "platform:maintenance"
local REMEMBERED_S, TIMEOUT_MS = 0.5, 50

local maintenance = {}
local settings, password

function maintenance.setup(given)
    settings = given
    local file = io.open(ngx.config.prefix() .. "redis-password")
    if file then
        password = file:read("*a")
        password = password ~= "" and password or nil
        file:close()
    end
end

local function ask()
    local client = redis:new()
    client:set_timeout(TIMEOUT_MS)
    if not client:connect(settings.host, settings.port) then
        return false
    end
    if client:get_reused_times() == 0 then
        if password and not client:auth(password) then
            return false
        end
        if settings.database > 0 and not client:select(settings.database) then
            return false
        end
    end
    local value = client:get(KEY)
    if value == nil then
        return false
    end
    client:set_keepalive(10000, 4)
    return value == "1"
end

function maintenance.check()
    if ngx.var.omnitron_allowed == "1" then
        return
    end
    local known = ngx.shared.omnitron_maintenance
    local on = known:get("on")
    if on == nil then
        on = ask()
        known:set("on", on, REMEMBERED_S)
    end
    if on then
        ngx.header["Retry-After"] = settings.retry_after
        return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
    end
end

return maintenance
