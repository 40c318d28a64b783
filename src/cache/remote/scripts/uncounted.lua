-- Stands in the place of usage.lua where there is no quota.
local records = {}
local function bind() end
local function counted() end
local function beyond() end
local function recount() end
local function keep_usage() end
