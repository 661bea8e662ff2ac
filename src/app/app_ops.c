/* What operators ask: is it alive, can it serve, what has it done, what does it speak. */
#include "app_handlers.h"
#include "app_request.h"
#include "metrics.h"

enum err ops_live(struct http_request *req, struct http_response *resp, struct error *e)
{
	(void)req;
	(void)e;
	buf_puts(&resp->body, "{\"alive\":true}");
	return OK;
}

enum err ops_ready(struct http_request *req, struct http_response *resp, struct error *e)
{
	PGresult *r;

	if (app_db_run(db_of(req), STMT_PING, NULL, req->mem, &r, e) == OK)
		buf_puts(&resp->body, "{\"ready\":true}");
	else
		answer_unavailable(req, resp);
	return OK;
}

enum err ops_metrics(struct http_request *req, struct http_response *resp, struct error *e)
{
	(void)e;
	resp->content_type = "text/plain; version=0.0.4; charset=utf-8";
	if (req->env->metrics != NULL)
		metrics_print(req->env->metrics, &resp->body);
	return OK;
}

enum err ops_openapi(struct http_request *req, struct http_response *resp, struct error *e)
{
	(void)e;
	resp->content_type = "application/vnd.oai.openapi+json;version=3.1";
	resp->fixed = app_of(req)->openapi;
	return OK;
}
