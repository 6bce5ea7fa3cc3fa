<?php
// docs:php:begin
// Whoever the gateway names; null where it names none.
$user = isset($_SERVER['HTTP_X_USER_NAME']) ? rawurldecode($_SERVER['HTTP_X_USER_NAME']) : null;
$groups = array_map('rawurldecode', array_filter(explode(',', $_SERVER['HTTP_X_USER_GROUPS'] ?? '')));
// docs:php:end

if (isset($_GET['go'])) {
    setcookie('seen', '1', ['path' => '/']);
    header('Location: ' . $_GET['go'], true, 302);
    exit;
}
header('Content-Type: application/json');
$meta = array_filter($_SERVER, fn($name) => str_starts_with($name, 'HTTP_') || str_starts_with($name, 'REMOTE_USER'), ARRAY_FILTER_USE_KEY);
echo json_encode([
    'user' => $user,
    'groups' => $groups,
    'path' => parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH),
    'meta' => (object) $meta,
], JSON_INVALID_UTF8_SUBSTITUTE);
